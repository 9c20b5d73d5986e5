"""What work costs: bytes by owner."""
