"""Films of structures that training cannot make, and how well a network draws them."""
