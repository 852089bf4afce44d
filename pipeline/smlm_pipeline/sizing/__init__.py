"""How much memory a server has to set aside, as numbers and as flags of ``tritonserver``."""
