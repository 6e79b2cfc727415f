"""The supervisor process: owns the arena, runs no user code."""
