"""The Dagster assets, one module a stage, in the order in which data flows.

Belongs here: reading the lake, one call into a room below, writing the lake, metadata and checks. Does not:
mathematics, decoding, SQL.
"""

from visdiv_assets.assets import diversity, duplicates, embeddings, images, indexes, quality, warehouse

#: The stages, in order.
STAGES = (images, quality, embeddings, indexes, duplicates, diversity, warehouse)
