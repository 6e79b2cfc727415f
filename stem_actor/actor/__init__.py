"""The process tree: guardian, supervisor, zygote and worker actors."""
