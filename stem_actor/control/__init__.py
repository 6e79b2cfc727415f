"""Looking into a running ring and steering it, over its control socket."""
