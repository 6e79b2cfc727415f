"""The process tree: guardian, zygote, births, and what every process of it does."""
