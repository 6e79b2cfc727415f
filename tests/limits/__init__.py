"""The cases of the table of limits, each as one test that names its behaviour."""
