"""What the duplicates report of a subset holds."""

from __future__ import annotations

from collections.abc import Sequence

from visdiv_assets.corpus.image_lookup import fetch_images, find_first_positions
from visdiv_assets.duplicates.near import PAIRS_SCHEMA
from visdiv_assets.publishing.reports.badges import measures_of, verdict_counts, verdict_of
from visdiv_assets.publishing.reports.model import PairEntry, Report
from visdiv_assets.publishing.reports.pair_selection import records_on_page
from visdiv_assets.sources import Kind, Source
from visdiv_assets.storage.lake import Lake
from visdiv_assets.storage.manifest import Manifest

INTRODUCTION = (
    "Pairs of different images of this subset that are close to each other. Byte-equal copies are one image here. "
    "A high similarity is a reason to look, not a proof: charts of one template are close as well."
)

COMPARED = (
    "Pairs of different images of this subset whose pixels were compared: pairs from a low similarity on, and pairs "
    "whose PDQ hashes are close in any of 8 orientations. Byte-equal copies are one image here. A high similarity is "
    "no proof: charts of one template are close as well. That the pixels agree is one."
)


def duplicates_report(
    store: Lake,
    source: Source,
    nearest: Manifest,
    images: Manifest,
    *,
    verified: Manifest | None = None,
    measured: Sequence[str] = (),
) -> Report:
    """The closest pairs of a subset; if they were verified, also the least close confirmed ones.

    Args:
        store: the lake.
        source: where the images are fetched.
        nearest: manifest of `near_duplicates`.
        images: manifest of `subset_images`.
        verified: manifest of `verified_duplicates`, whose pairs are told of instead of those of `nearest`.
        measured: sentences on measured recall and precision.
    """
    subset, facts = images.partition, images.facts
    told = nearest if verified is None else verified
    # A manifest of no units has no table.
    table = store.read(told, "pairs") if told.files("pairs") else PAIRS_SCHEMA.empty_table()
    pairs = records_on_page(table, [("image_id_a", "ascending"), ("image_id_b", "ascending")])
    places = find_first_positions(
        store, subset, (pair[side] for pair in pairs for side in ("image_id_a", "image_id_b"))
    )
    found = fetch_images(source, Kind.SUBSET, list(places.values()))
    # Which of two images has the lower hash means nothing to a reader: the one that comes first stands left.
    ordered = [sorted((places[pair["image_id_a"]], places[pair["image_id_b"]])) for pair in pairs]
    return Report(
        title=f"Near duplicates in {subset}",
        introduction=INTRODUCTION if verified is None else COMPARED,
        facts={
            "image positions": f"{facts['images']:,}",
            "different readable images": f"{facts['images_unique']:,}",
            "byte-equal copies": f"{facts['images'] - facts['images_unreadable'] - facts['images_unique']:,}",
            **_bounds(told),
            "model": str(told.model_id),
            **verdict_counts(table),
        },
        table=None,
        pairs=[
            PairEntry(found[left], found[right], measures_of(pair), verdict_of(pair))
            for pair, (left, right) in zip(pairs, ordered, strict=True)
        ],
        pairs_total=table.num_rows,
        left_heading="Image",
        right_heading="Close image",
        measured=measured,
    )


def _bounds(told: Manifest) -> dict[str, str]:
    """From where on pairs were looked for."""
    names = {
        "similarity_floor": "similarity from",
        "candidate_floor": "compared from similarity",
        "pdq_distance": "or PDQ distance up to",
    }
    return {text: f"{told.settings[name]}" for name, text in names.items() if name in told.settings}
