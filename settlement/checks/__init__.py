"""Whether the books and what is stored are as they must be: what `fsck` asks. Read only."""
