"""The month on paper: documents and balances as PDF, ageing and accruals as tables."""
