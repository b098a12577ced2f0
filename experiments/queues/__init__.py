"""Servers that queue: what rules reach there, and how that depends on the load."""
