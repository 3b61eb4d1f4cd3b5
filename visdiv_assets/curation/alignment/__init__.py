"""How well the texts of rows fit their images, from stored CLIP vectors.

Belongs here: the similarity of turns and images (`turns`), and the figures of a subset (`summary`). Does not: how
vectors are computed (`embedding`), or which rows are kept (`curation`).
"""
