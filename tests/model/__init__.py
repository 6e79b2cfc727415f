"""Explicit-state models of the ring protocol and of its wake-up, with their mutants."""
