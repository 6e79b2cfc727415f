"""The proof: each folder mirrors a part of the package or one method of checking."""
