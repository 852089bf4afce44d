"""Picasso's maximum-likelihood fit, by Picasso itself in an environment of its own."""
