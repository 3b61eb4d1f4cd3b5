"""Strings to n-grams, signatures and overlaps."""
