"""What the duplicates report of a subset holds."""

from __future__ import annotations

from visdiv_assets.reports.pairs import PAIRS_SHOWN, PairEntry, Report
from visdiv_assets.reports.places import first_places, pictures_at
from visdiv_assets.search.duplicates import closest
from visdiv_assets.sources import Kind, Source
from visdiv_assets.storage.lake import Lake
from visdiv_assets.storage.manifest import Manifest

INTRODUCTION = (
    "Pairs of different pictures of this subset that are close to each other. Byte-equal copies are one picture here. "
    "A high similarity is a reason to look, not a proof: charts of one template are close as well."
)


def duplicates_report(store: Lake, source: Source, nearest: Manifest, images: Manifest) -> Report:
    """The closest pairs of a subset.

    Args:
        store: the lake.
        source: where the pictures are fetched.
        nearest: manifest of `near_duplicates`.
        images: manifest of `subset_images`.
    """
    subset, facts = images.partition, images.facts
    pairs = closest(store.read(nearest, "pairs"), PAIRS_SHOWN).to_pylist()
    places = first_places(store, subset, (pair[side] for pair in pairs for side in ("image_id_a", "image_id_b")))
    pictures = pictures_at(source, Kind.SUBSET, list(places.values()))
    # Which of two pictures has the lower hash means nothing to a reader: the one that comes first stands left.
    ordered = [sorted((places[pair["image_id_a"]], places[pair["image_id_b"]])) for pair in pairs]
    return Report(
        title=f"Near duplicates in {subset}",
        introduction=INTRODUCTION,
        facts={
            "image positions": f"{facts['images']:,}",
            "different readable pictures": f"{facts['images_unique']:,}",
            "byte-equal copies": f"{facts['images'] - facts['images_unreadable'] - facts['images_unique']:,}",
            "similarity from": f"{nearest.settings['similarity_floor']}",
            "model": str(nearest.model_id),
        },
        table=None,
        pairs=[
            PairEntry(
                pictures[left],
                pictures[right],
                {"similarity": pair["similarity"], "normalised": pair["similarity_normalised"]},
            )
            for pair, (left, right) in zip(pairs, ordered, strict=True)
        ],
        pairs_total=nearest.rows("pairs"),
        left_heading="Picture",
        right_heading="Close picture",
    )
