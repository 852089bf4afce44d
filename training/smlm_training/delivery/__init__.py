"""From a finished run to a model that a server loads."""
