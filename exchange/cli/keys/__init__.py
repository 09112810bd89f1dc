"""Signing keys: made, registered, rotated, revoked and recovered."""
