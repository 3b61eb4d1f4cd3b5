"""From the stored decisions to what `visdiv export` writes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow.compute as pc

from visdiv_assets.corpus.tables import CORPUS_PARTITION, LakeTable
from visdiv_assets.curation.export import SubsetDecision
from visdiv_assets.errors import VisdivError
from visdiv_assets.sources import Kind, Source
from visdiv_assets.sources.versions import version_of
from visdiv_assets.storage.lake import Lake


def load_decisions(lake: Lake, source: Source) -> Iterator[SubsetDecision]:
    """Which rows of each subset a clean copy keeps, as `curated_rows` decided.

    Raises:
        VisdivError: nothing is decided yet, or a subset was materialized or has changed since.
    """
    curated = lake.require(LakeTable.CURATED_ROWS, CORPUS_PARTITION)
    for subset in curated.facts["subsets"]:
        images = lake.require(LakeTable.SUBSET_IMAGES, subset)
        version = version_of(source, Kind.SUBSET, subset, known=images.facts["digests"])
        decided_for = curated.inputs[f"{subset} subset_images"]
        if images.digest != decided_for or version.revision != images.source_revision:
            raise VisdivError(
                f"subset {subset!r} has changed since it was decided which rows stay: run `visdiv run --all` again"
            )
        dropped = lake.read(curated, "dropped", where=pc.field("subset") == subset)
        kept = np.ones(version.rows, bool)
        kept[dropped["row"].to_numpy()] = False
        yield SubsetDecision(subset, version, kept, dropped)
