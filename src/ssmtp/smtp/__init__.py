"""What is said to a mailhub, and what its answers mean: pure, no socket, no clock."""
