"""What a brand signs when it answers an instruction: made, verified and judged here alone."""
