"""Moves points between programs, keeps the books and the log, and signs the receipts."""
