"""Links between a member's accounts in two programs."""
