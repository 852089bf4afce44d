"""Read the file formats of films, one module each."""
