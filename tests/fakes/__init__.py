"""Stand-ins for what is slow, remote or injected: each refuses what the real one refuses."""
