"""Tasks as the user writes them: handlers, definitions, calls, contexts."""
