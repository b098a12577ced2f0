"""What sharing costs, and what cooperation is worth."""
