"""CEL0: sparse deconvolution with a continuous exact l0 penalty."""
