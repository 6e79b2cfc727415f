"""The worker process: user code runs here, under limits."""
