"""Canvas: tasks that follow from one another."""
