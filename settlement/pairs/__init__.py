"""Partners that pay each other: how pairs stand, what they are asked for, and who has confirmed."""
