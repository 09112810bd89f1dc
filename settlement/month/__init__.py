"""The month: invoices and credit notes, balances confirmed, what is late, and the close."""
