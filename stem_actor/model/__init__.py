"""Frozen values that every layer shares: options, states, errors, endings."""
