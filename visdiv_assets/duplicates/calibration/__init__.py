"""Measure what thresholds and verification are worth on a subset, with copies made of the subset's own images.

`copies` makes copies in the ways in which images get copied; `sampling` chooses images and fetches them; `measure`
compares them with their copies and with their nearest other images; `rates` computes recall and precision.
"""
