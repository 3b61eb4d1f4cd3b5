"""What of a benchmark, image or text, is in the training data, and at what rate."""
