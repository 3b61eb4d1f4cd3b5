"""Strings to n-grams, signatures and overlaps, their quality, personal data in them, and text in images (OCR)."""
