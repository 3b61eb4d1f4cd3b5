"""Measure what thresholds and verification are worth on a subset, with copies made of the subset's own images.

`copies` makes copies in the ways in which people and programs edit images, by the edits in `overlays`, `frames`,
`geometry`, `quality` and `colors`; `encoded_copies` shows them to verification; `sampling` chooses images; `measure`
compares them with their copies and with their nearest other images; `rates` computes recall and precision.
"""
