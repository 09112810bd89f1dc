"""Tests that run real programs: the database, the server."""
