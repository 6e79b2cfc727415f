"""Benches: the figures of stem_actor, and the limits and peers beside them."""
