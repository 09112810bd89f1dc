"""Transfers from quote to reversal, and how programs are told."""
