"""Published methods that detect and localise without a network."""
