"""Hostile bytes for everything that reads what another process wrote."""
