"""Linked images of several subsets, their positions, and the check for a single model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from visdiv_assets.corpus.access import partitions_with, require_one_model
from visdiv_assets.curation.linked_images import LinkedImages, load_linked_images, load_positions
from visdiv_assets.curation.row_findings import load_row_facts
from visdiv_assets.duplicates.pair_verification import VERIFIED_SCHEMA
from visdiv_assets.errors import VisdivError
from visdiv_assets.storage.lake import Lake
from visdiv_assets_tests.curation.lakes import (
    Listed,
    add_embeddings,
    add_images,
    add_leaks,
    add_pairs,
    add_quality,
    image_id,
)

#: A vector for each letter, so that a misplaced image is noticed.
VECTORS = {letter: np.eye(8)[number] for number, letter in enumerate("abcdefgh")}


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path)


def vectors_of(images: str) -> np.ndarray:
    return np.array([VECTORS[image] for image in images]).reshape(-1, 8)


def add_subset(lake: Lake, subset: str, shards: list[str], pairs: list[tuple[str, str, float]]) -> None:
    """Write a subset with one image per row and one shard per string of letters; each image is embedded once."""
    rows, positions, seen, embedded = 0, [], "", []
    for images in shards:
        positions.append([Listed(rows + number, image) for number, image in enumerate(images)])
        rows += len(images)
        new = "".join(dict.fromkeys(image for image in images if image not in seen))
        seen += new
        embedded.append((new, vectors_of(new)))
    add_images(lake, subset, rows, *positions)
    add_embeddings(lake, subset, *embedded)
    add_pairs(lake, "near_duplicates", subset, pairs)


def letters(linked: LinkedImages) -> str:
    return "".join(name.decode()[0] for name in linked.image_ids)


def pairs_of(linked: LinkedImages) -> dict[tuple[str, str], float]:
    names, found = letters(linked), linked.copies.pairs
    sides = zip(found.left.tolist(), found.right.tolist(), strict=True)
    pairs = [((names[a], names[b]), value) for (a, b), value in zip(sides, found.similarity.tolist(), strict=True)]
    assert len(dict(pairs)) == len(pairs)
    return dict(pairs)


# Linked images -----------------------------------------------------------------------------------------------------


def test_images_of_pairs_and_repeated_images_are_linked(lake: Lake) -> None:
    add_subset(lake, "one", ["hab", "ca"], [("b", "c", 0.8)])
    add_subset(lake, "two", ["dg", "ef"], [])
    add_subset(lake, "three", ["d"], [])
    add_pairs(lake, "cross_subset_duplicates", "all", [("a", "e", 0.9)], [])
    linked = load_linked_images(lake, ["one", "three", "two"], "similarity")
    # a twice in one subset, b and c close, d in two subsets, a and e close across; f, g and h have no copy.
    assert letters(linked) == "abcde"
    assert linked.image_ids.dtype == np.dtype("S32")
    assert pairs_of(linked) == {("a", "e"): pytest.approx(0.9), ("b", "c"): pytest.approx(0.8)}
    np.testing.assert_array_equal(linked.vectors[:], vectors_of("abcde"))
    np.testing.assert_array_equal(linked.vectors[np.array([3, 0])], vectors_of("da"))
    assert linked.vectors.shape == (5, 8)


def test_a_pair_in_several_tables_is_one_pair(lake: Lake) -> None:
    for subset in ("one", "two"):
        add_subset(lake, subset, ["ab"], [("a", "b", 0.9)])
    add_pairs(lake, "cross_subset_duplicates", "all", [("a", "b", 0.9)])
    assert pairs_of(load_linked_images(lake, ["one", "two"], "similarity")) == {("a", "b"): pytest.approx(0.9)}


Compared = tuple[str, str, float, bool | None]


def add_compared(
    lake: Lake, table: str, partition: str, pairs: list[Compared], confidence: float | None = None
) -> None:
    """Write compared pairs; without a confidence, the table is of a version that has none."""
    schema = VERIFIED_SCHEMA
    if confidence is None:
        schema = schema.remove(schema.get_field_index("confidence"))
    write = lake.write(table, partition, code_version="1", inputs={}, run_id="run")
    with write.add("pairs") as unit:
        records = [
            {
                "image_id_a": image_id(a),
                "image_id_b": image_id(b),
                "similarity": value,
                "verified": verified,
                "confidence": confidence,
                "evidence": f"kind of {partition}" if verified else "unconfirmed",
            }
            for a, b, value, verified in pairs
        ]
        unit.table("pairs", pa.Table.from_pylist(records, schema), schema)
    write.commit()


def test_by_pixels_only_confirmed_pairs_are_linked(lake: Lake) -> None:
    add_subset(lake, "one", ["abc"], [("a", "b", 0.99)])
    add_subset(lake, "two", ["d"], [])
    add_compared(lake, "verified_duplicates", "one", [("a", "b", 0.99, False), ("b", "c", 0.5, True)])
    add_compared(lake, "verified_duplicates", "two", [])
    across: list[Compared] = [("a", "d", 0.6, True), ("b", "d", 0.9, None), ("c", "d", 0.9, False)]
    add_compared(lake, "verified_cross_subset", "all", across, confidence=0.995)
    linked = load_linked_images(lake, ["one", "two"], "pixels")
    assert pairs_of(linked) == {("b", "c"): pytest.approx(0.5), ("a", "d"): pytest.approx(0.6)}
    verdicts = list(zip(linked.copies.confidence.to_pylist(), linked.copies.evidence.to_pylist(), strict=True))
    assert verdicts == [(pytest.approx(0.995), "kind of all"), (None, "kind of one")]


def test_of_two_verdicts_the_more_confident_one_counts(lake: Lake) -> None:
    for subset, confidence in (("one", 0.99), ("three", None), ("two", 0.999)):
        add_subset(lake, subset, ["ab"], [])
        add_compared(lake, "verified_duplicates", subset, [("a", "b", 0.9, True)], confidence)
    copies = load_linked_images(lake, ["one", "three", "two"], "pixels").copies
    assert copies.confidence.to_pylist() == [pytest.approx(0.999)]
    assert copies.evidence.to_pylist() == ["kind of two"]


def test_positions_that_cannot_be_read_link_nothing(lake: Lake) -> None:
    add_images(lake, "one", 3, [Listed(0, "a"), Listed(1, "a", status="truncated"), Listed(2, "", status="empty")])
    add_embeddings(lake, "one", ("a", vectors_of("a")))
    add_pairs(lake, "near_duplicates", "one", [])
    assert letters(load_linked_images(lake, ["one"], "similarity")) == ""


def test_without_copies_nothing_is_linked(lake: Lake) -> None:
    add_subset(lake, "one", ["abc"], [])
    linked = load_linked_images(lake, ["one"], "similarity")
    assert len(linked.image_ids) == len(linked.copies.pairs.left) == 0
    assert linked.vectors.shape == (0, 8)


def test_without_subsets_nothing_is_linked(lake: Lake) -> None:
    linked = load_linked_images(lake, [], "similarity")
    assert len(linked.image_ids) == len(linked.copies.pairs.left) == 0


def test_only_subsets_with_all_tables_are_listed(lake: Lake) -> None:
    add_subset(lake, "whole", ["a"], [])
    add_subset(lake, "a+(b)", ["b"], [])
    add_images(lake, "listed", 0)
    assert partitions_with(lake, "subset_images", "sscd_embeddings", "near_duplicates") == ["a+(b)", "whole"]
    assert partitions_with(lake, "subset_images") == ["a+(b)", "listed", "whole"]
    assert partitions_with(lake, "subset_images", "contamination") == []


# Positions -----------------------------------------------------------------------------------------------------------


def test_positions_hold_what_keep_best_needs(lake: Lake) -> None:
    add_images(
        lake,
        "one",
        4,
        [
            Listed(0, "a", 0, width=20, height=30, format="png"),
            Listed(0, "x", 1),
            Listed(0, "y", 2, status="truncated"),
            Listed(2, "b", 0, width=70_000, height=70_000, format="jpeg"),
        ],
        [Listed(3, "a", 0, status="corrupt"), Listed(3, "a", 1, format="webp")],
    )
    add_quality(lake, "one", [(True, 4.0), (True, None), (False, 2.0), (True, None)])
    add_leaks(lake, "one", {"bench": [("a", 0, 0.96)]})
    add_images(lake, "two", 1, [Listed(0, "x", 0), Listed(0, "b", 1, format="tiff")])
    facts = [
        load_row_facts(
            lake,
            subset,
            copies_by="similarity",
            contamination_threshold=0.95,
            text_contamination_share=0.5,
            image_profile="basic",
            text_profile="basic",
            drop=["quality", "unreadable"],
        )
        for subset in ("one", "two")
    ]
    found = load_positions(lake, facts, np.array([image_id("a"), image_id("b")], "S32"))
    assert found.subset.tolist() == [0, 0, 0, 1]
    assert found.row.tolist() == [0, 2, 3, 0]
    assert found.image_index.tolist() == [0, 0, 1, 1]
    assert found.image.tolist() == [0, 1, 0, 1]
    assert found.pixels.tolist() == [600, 4_900_000_000, 100, 100]
    assert found.lossless.tolist() == [True, False, False, True]
    np.testing.assert_array_equal(found.rating, [4, 2, np.nan, np.nan])
    assert found.contaminated.tolist() == [True, False, True, False]
    # Contamination drops nothing here; rows 0 and 3 hold an image that cannot be read, row 2 has bad ratings.
    assert found.blocked.tolist() == [True, True, True, False]
    # All images of a row count, those that cannot be read too.
    assert found.images_in_row.tolist() == [3, 1, 2, 2]


def test_no_images_have_no_positions(lake: Lake) -> None:
    add_images(lake, "one", 2, [Listed(0, "a")])
    facts = [
        load_row_facts(
            lake,
            "one",
            copies_by="similarity",
            contamination_threshold=0.95,
            text_contamination_share=0.5,
            image_profile="basic",
            text_profile="basic",
            drop=["quality", "unreadable"],
        )
    ]
    found = load_positions(lake, facts, np.empty(0, "S32"))
    assert len(found.row) == len(found.ranks()) == 0


def test_no_subsets_have_no_positions(lake: Lake) -> None:
    assert len(load_positions(lake, [], np.empty(0, "S32")).row) == 0


# One model -----------------------------------------------------------------------------------------------------------


def test_vectors_of_two_models_are_an_error_that_names_both(lake: Lake) -> None:
    manifests = [
        add_embeddings(lake, "one", ("a", vectors_of("a")), model_id="sscd@1/skew_320"),
        add_embeddings(lake, "two", ("a", vectors_of("a")), model_id="sscd@1/skew_320"),
        add_embeddings(lake, "three", ("a", vectors_of("a")), model_id="other@2/skew_320"),
    ]
    with pytest.raises(VisdivError, match="'one' was embedded with sscd@1/skew_320 and 'three' with other@2/skew_320"):
        require_one_model(manifests)
    assert require_one_model(manifests[:2]) == "sscd@1/skew_320"
    assert require_one_model([]) is None
