"""The commands of ``recon-train``, one a module."""
