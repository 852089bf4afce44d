"""The commands ``recon-client`` and what all three commands share."""
