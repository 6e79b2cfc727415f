"""What crosses a process boundary as bytes, and how typed objects become that."""
