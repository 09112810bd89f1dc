"""Sample papers of a small coalition, from a seed: what a newcomer builds its reconciliation on."""
