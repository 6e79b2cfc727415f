"""Processes killed at every numbered step, and what must be left."""
