"""Brands that take batches of files: instructions out, results in. See docs/file-program.md."""
