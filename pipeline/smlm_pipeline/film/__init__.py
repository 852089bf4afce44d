"""Open a film of any format, select a part of it, read its frames and survey it."""
