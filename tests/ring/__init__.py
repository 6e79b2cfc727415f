"""The C core, driven in one process under a virtual clock."""
