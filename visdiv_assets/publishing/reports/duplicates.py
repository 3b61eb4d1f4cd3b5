"""Build the duplicates report of a subset."""

from __future__ import annotations

from collections.abc import Sequence

from visdiv_assets.corpus.image_lookup import ImageReader, find_first_positions
from visdiv_assets.duplicates.candidates import SIDES
from visdiv_assets.duplicates.decided_pairs import obey, read_decided
from visdiv_assets.duplicates.near import PAIRS_SCHEMA
from visdiv_assets.publishing.reports.badges import measures_of, verdict_counts, verdict_of
from visdiv_assets.publishing.reports.model import PairEntry, Report
from visdiv_assets.publishing.reports.pair_selection import records_on_page
from visdiv_assets.publishing.review_words import judged_pairs, precision_sentences
from visdiv_assets.sources import Kind
from visdiv_assets.storage.manifest import Manifest

INTRODUCTION = (
    "Pairs of different images of this subset that are close to each other. Byte-equal copies count as one image. "
    "A high similarity alone does not prove that images are copies: charts of one template are close as well."
)

COMPARED = (
    "Pairs of different images of this subset whose pixels were compared: pairs above a low similarity, and pairs "
    "whose PDQ hashes are close in any of 8 orientations. Byte-equal copies count as one image. "
    "A high similarity alone does not prove that images are copies, since charts of one template are close as well; "
    "agreement of the pixels does."
)


def duplicates_report(
    images: ImageReader,
    nearest: Manifest,
    listed: Manifest,
    *,
    verified: Manifest | None = None,
    measured: Sequence[str] = (),
) -> Report:
    """Collect the closest pairs of a subset and, if they were compared, the confirmed ones of lowest similarity.

    Args:
        images: reads the images, and the tables of the lake.
        nearest: manifest of `near_duplicates`.
        listed: manifest of `subset_images`.
        verified: manifest of `verified_duplicates`; its pairs replace those of `nearest`.
        measured: sentences on measured recall and precision.
    """
    store, subset, facts = images.lake, listed.partition, listed.facts
    searched = nearest if verified is None else verified
    # A manifest without units has no table.
    table = store.read(searched, "pairs") if searched.files("pairs") else PAIRS_SCHEMA.empty_table()
    precision: list[str] = []
    if verified is not None and table.num_rows:
        decided = read_decided(store, verified)
        precision = precision_sentences(judged_pairs(table, decided))
        table = obey(table, decided)
    pairs = records_on_page(table, [(side, "ascending") for side in SIDES])
    positions = find_first_positions(store, subset, (pair[side] for pair in pairs for side in SIDES))
    found = images.read(Kind.SUBSET, positions.values())
    # The image with the earlier position is on the left.
    ordered = [sorted(positions[pair[side]] for side in SIDES) for pair in pairs]
    return Report(
        title=f"Near duplicates in {subset}",
        introduction=INTRODUCTION if verified is None else COMPARED,
        facts={
            "image positions": f"{facts['images']:,}",
            "different readable images": f"{facts['images_unique']:,}",
            "byte-equal copies": f"{facts['images'] - facts['images_unreadable'] - facts['images_unique']:,}",
            **_describe_bounds(searched),
            "model": str(searched.model_id),
            **verdict_counts(table),
        },
        table=None,
        pairs=[
            PairEntry(
                found[left],
                found[right],
                measures_of(pair),
                verdict_of(pair, swapped=left.image_id != pair["image_id_a"]),
            )
            for pair, (left, right) in zip(pairs, ordered, strict=True)
        ],
        pairs_total=table.num_rows,
        left_heading="Image",
        right_heading="Close image",
        measured=[*measured, *precision],
        kind="duplicates",
    )


def _describe_bounds(searched: Manifest) -> dict[str, str]:
    """Return the settings that bound the search for pairs."""
    names = {
        "similarity_floor": "minimum similarity",
        "candidate_floor": "minimum similarity of candidate pairs",
        "pdq_distance": "maximum PDQ distance of candidate pairs",
    }
    return {text: f"{searched.settings[name]}" for name, text in names.items() if name in searched.settings}
