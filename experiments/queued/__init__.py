"""What looking ahead is worth where servers queue."""
