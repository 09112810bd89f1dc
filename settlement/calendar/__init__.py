"""When windows close and payments are due: cut-offs, banking days, and who watches the clock."""
