"""What happens to a task: publish and execute, against ports."""
