"""What a threshold is worth on a subset: measured on the subset's own images.

Belongs here: making copies of images in the ways in which images get copied, and measuring, on a subset's own
images, what each threshold and the pixel verification find of such copies and what they wrongly claim. Does not:
finding pairs (`search`), decoding and resizing (`imaging`), or what is done about duplicates (`curation`).
"""
