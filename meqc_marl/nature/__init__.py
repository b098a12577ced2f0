"""What no action changes: equipment, mobility, fading and tasks, drawn from seeds or read from a file."""
