"""What a gate or a proxy before a server costs, and what it lets through."""
