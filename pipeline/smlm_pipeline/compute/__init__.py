"""The arithmetic that client, server and training share."""
