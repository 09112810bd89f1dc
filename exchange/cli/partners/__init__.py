"""Partners, operators and members, and what bounds them."""
