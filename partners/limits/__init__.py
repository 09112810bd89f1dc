"""Switches and limits: what operators set to keep partners, corridors and members within bounds."""
