"""Windows, statements, money and papers."""
