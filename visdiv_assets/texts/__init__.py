"""Strings to n-grams, signatures and overlaps, their quality, and personal data in them."""
