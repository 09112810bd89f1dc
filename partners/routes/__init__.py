"""How instructions reach programs: the ways, and what sets them."""
