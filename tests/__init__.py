"""Tests by kind: unit, property, integration and acceptance; benchmarks in bench."""
