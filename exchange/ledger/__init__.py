"""The double-entry books: accounts, postings, balances and their schema."""
