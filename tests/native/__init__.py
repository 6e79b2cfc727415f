"""The C core under sanitizers, in threads, and with bugs put in on purpose."""
