"""What of a benchmark, image or text, is in the training data, and at what rate.

`images` compares images by their vectors and counts them; `texts` compares questions and answers by their n-grams.
"""
