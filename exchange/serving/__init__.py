"""The composition root's room: it wires one server process. Nothing but the root imports it."""
