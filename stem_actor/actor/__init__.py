"""
The processes, a room for each kind, each room seeing those before it.

``tree``: what they have in common, and how they are born; ``worker``: where user code
runs; ``supervisor``: who owns the arena; ``host``: who starts it all, and producers.
"""
