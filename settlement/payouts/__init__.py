"""Money going out: pay-out files for the bank, and what debtors and creditors are told."""
