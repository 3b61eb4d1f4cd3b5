"""Published methods that select training data, from stored embeddings or from texts.

Belongs here: the methods, each a function that returns a score per image, text or pair (or an order), with its source
and formula; `methods`, the registry that says what a high score means; `compare_methods`. Does not: which rows a clean
copy keeps (`curation`), exact joins (`vectors`) or models (`embedding`). Vectors are read in blocks from anything that
can be sliced by rows. Importing this package loads numpy and nothing heavier.
"""

from visdiv_assets.curation.selection.diverse import select_diverse_samples

__all__ = ["select_diverse_samples"]
