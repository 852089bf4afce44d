"""FALCON: sparse deconvolution with continuous refinement."""
