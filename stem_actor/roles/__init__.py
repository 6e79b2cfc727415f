"""The roles beside StemApp: producers, consumers, and what configures both."""
