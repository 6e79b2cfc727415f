"""Background tasks that cannot be lost, cannot run away, and need no server."""
