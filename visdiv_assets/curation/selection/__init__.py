"""Published methods that choose a subset of training data, from stored embeddings or from texts alone.

Here belong the methods, each a function that gives one number per image, text or pair (or an order), with its source
and formula; `methods`, which says of each what a high number means; and `compare`, which holds what they keep side by
side. Here do not belong which rows a clean copy keeps (`curation`), exact joins (`search`) or models (`embedders`).
Vectors are read in blocks from anything that can be sliced by rows; importing this package loads numpy and nothing
heavier.
"""

from visdiv_assets.curation.selection.diverse import select_diverse_samples

__all__ = ["select_diverse_samples"]
