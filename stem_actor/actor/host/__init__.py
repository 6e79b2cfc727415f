"""The host's side: starting a tree, and the connection of every producer."""
