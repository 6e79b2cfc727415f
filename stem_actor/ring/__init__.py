"""The shared-memory arena in Python clothes; the only importer of the C core."""
