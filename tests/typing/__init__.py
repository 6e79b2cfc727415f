"""What checkers must see of the public surface."""
