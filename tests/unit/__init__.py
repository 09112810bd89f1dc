"""Tests of one module each, without a database, a network or a clock."""
