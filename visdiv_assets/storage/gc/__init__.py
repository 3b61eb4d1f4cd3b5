"""Find and remove garbage: files that no manifest names, and what vanished subsets left behind."""
