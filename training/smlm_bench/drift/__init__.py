"""Films whose samples drift in known ways, and what is left of the drift; known resolutions."""
