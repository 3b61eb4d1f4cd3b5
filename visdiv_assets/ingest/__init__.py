"""One pass over a source: every image decoded once, and every product that later stages read made from it.

This room combines reading, decoding, measuring and the models, which belong to other rooms. Writing to the lake belongs
to the stages.
"""

from visdiv_assets.ingest.products import BlobProduct, ShardProducts, VectorProduct
from visdiv_assets.ingest.shard import ingest_shard
from visdiv_assets.ingest.wanted import ModelWanted, Wanted

__all__ = ["BlobProduct", "ModelWanted", "ShardProducts", "VectorProduct", "Wanted", "ingest_shard"]
