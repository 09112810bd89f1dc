"""Quotes: what is offered, and how it is written down."""
