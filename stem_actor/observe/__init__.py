"""Watching a ring: events as they happen."""
