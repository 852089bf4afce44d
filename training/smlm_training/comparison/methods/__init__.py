"""The methods that are compared, each a class with one method over a block of frames."""
