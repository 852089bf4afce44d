"""Networks as methods of the comparison."""
