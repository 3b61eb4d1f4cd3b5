"""Which rows to keep, by rule, rating, selection method or a person's decision, and writing the clean copy.

Belongs here: quality ratings, the fit of texts and images, selection methods, decisions on duplicates, and the export.
Does not: how similarities or scores are computed (`vectors`, `duplicates`, `diversity`).
"""
