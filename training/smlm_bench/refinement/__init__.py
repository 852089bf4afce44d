"""What refinement does to films of structures that training cannot make, and to hard films."""
