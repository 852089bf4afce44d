"""Films of two channels whose geometry is known, and how well the product registers them."""
