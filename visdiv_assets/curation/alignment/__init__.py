"""How well the texts of rows fit their images, from stored CLIP vectors.

Belongs here: the similarity of turns and images (`turns`), and what a subset's figures say (`summary`). Does not: how
vectors are made (`embedders`), or which rows stay (`curation`).
"""
