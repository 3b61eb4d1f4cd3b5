"""The corpus as the stages wrote it: the registry of tables, and typed read access to images, vectors and pairs.

Belongs here: reading tables of the lake by their meaning, and fetching images by position. Does not: computing
findings, Dagster.
"""
