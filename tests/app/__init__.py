"""The whole product through its public surface, with real processes."""
