"""Embedding a subset shard by shard."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from visdiv_assets.corpus.access import first_positions
from visdiv_assets.embedding.shards import IDS_SCHEMA, KnownVectors, embed_positions, positions_between, vector_defects
from visdiv_assets.errors import VisdivError
from visdiv_assets.imaging.identity import image_id
from visdiv_assets.imaging.limits import DecodeLimits
from visdiv_assets.imaging.listing import IMAGES_SCHEMA, list_images
from visdiv_assets.storage.lake import Lake
from visdiv_assets_tests.conftest import ColorEmbedder
from visdiv_assets_tests.conftest import image as draw

MAX_PIXELS = 1_000_000
BROKEN = -1

#: Seeds of the images of each row; `BROKEN` is an image that cannot be read.
Layout = Sequence[Sequence[int]]


@cache
def image(seed: int) -> bytes:
    return b"no image" if seed == BROKEN else draw(seed)


def shard(rows: Layout, batch_rows: int = 3) -> list[pa.RecordBatch]:
    """Rows as the batches of one shard."""
    images = [[{"bytes": image(seed), "path": None} for seed in row] for row in rows]
    column = pa.array(images, pa.list_(pa.struct([("bytes", pa.binary()), ("path", pa.string())])))
    return pa.table({"images": column}).to_batches(max_chunksize=batch_rows)


def positions(rows: Layout, first_row: int = 0) -> pa.Table:
    """`first_positions` of a subset that is one shard."""
    listed = list_images(shard(rows), first_row=first_row, threads=1, limits=DecodeLimits(MAX_PIXELS))
    return first_positions(pa.Table.from_batches(listed, IMAGES_SCHEMA))


def embed(
    batches: Iterator[pa.RecordBatch] | list[pa.RecordBatch],
    wanted: pa.Table,
    embedder: ColorEmbedder,
    known: KnownVectors,
    first_row: int = 0,
) -> tuple[np.ndarray, int]:
    made = embed_positions(
        batches, wanted, embedder, first_row=first_row, known=known, threads=2, limits=DecodeLimits(MAX_PIXELS)
    )
    assert made.norms is None
    return made.vectors, made.computed


def vector(seed: int) -> np.ndarray:
    """What the embedder makes of an image alone."""
    batch = shard([[seed]])
    return embed(batch, positions([[seed]]), ColorEmbedder(), nothing())[0][0]


def nothing() -> KnownVectors:
    return KnownVectors(Lake("/nowhere"), None, "")


def saved(lake: Lake, seeds: Sequence[int], model_id: str) -> KnownVectors:
    """The vectors of an earlier state in two units, opened for a model."""
    write = lake.write("sscd_embeddings", "some", code_version="1", model_id="color@000000000000/skew_320")
    for name, part in (("a", seeds[:2]), ("b", seeds[2:])):
        with write.add(name) as unit:
            vectors = np.stack([vector(seed) for seed in part]) if part else np.empty((0, 192), np.float16)
            unit.array("vectors", vectors)
            ids = pa.array([image_id(image(seed)) for seed in part], pa.string())
            unit.table("ids", pa.table({"image_id": ids}), IDS_SCHEMA)
    return KnownVectors(lake, write.commit(), model_id)


ROWS: Layout = [[], [1], [], [2, 3, 2, 4], [1, BROKEN, 5], [], [], [6], [3, 7]]


def test_every_readable_image_is_embedded_once_and_in_the_order_of_its_first_position() -> None:
    embedder = ColorEmbedder()
    wanted = positions(ROWS)
    assert wanted.to_pydict() == {
        "row": [1, 3, 3, 3, 4, 7, 8],
        "image_index": [0, 0, 1, 3, 2, 0, 1],
        "image_id": [image_id(image(seed)) for seed in (1, 2, 3, 4, 5, 6, 7)],
    }
    vectors, computed = embed(shard(ROWS), wanted, embedder, nothing())
    assert computed == embedder.embedded == 7
    assert vectors.dtype == np.float16
    np.testing.assert_array_equal(vectors, [vector(seed) for seed in (1, 2, 3, 4, 5, 6, 7)])


def test_rows_are_counted_from_the_first_row_of_the_shard() -> None:
    vectors, _ = embed(shard(ROWS), positions(ROWS, first_row=1000), ColorEmbedder(), nothing(), first_row=1000)
    np.testing.assert_array_equal(vectors, [vector(seed) for seed in (1, 2, 3, 4, 5, 6, 7)])


@settings(max_examples=25, deadline=None)
@given(
    rows=st.lists(st.lists(st.integers(BROKEN, 6), max_size=5), max_size=12),
    cut=st.integers(0, 12),
    batch_rows=st.integers(1, 5),
)
def test_two_shards_together_hold_each_image_once_wherever_they_are_cut(
    rows: list[list[int]], cut: int, batch_rows: int
) -> None:
    cut = min(cut, len(rows))
    everything = positions(rows)
    found: dict[str, np.ndarray] = {}
    for first, end in ((0, cut), (cut, len(rows))):
        wanted = positions_between(everything, first, end)
        vectors, _ = embed(shard(rows[first:end], batch_rows), wanted, ColorEmbedder(), nothing(), first)
        names = wanted["image_id"].to_pylist()
        assert not found.keys() & names
        found.update(zip(names, vectors, strict=True))
    seeds = {seed for row in rows for seed in row if seed != BROKEN}
    assert found.keys() == {image_id(image(seed)) for seed in seeds}
    for seed in seeds:
        np.testing.assert_array_equal(found[image_id(image(seed))], vector(seed))


def test_known_vectors_are_taken_over_and_only_the_others_embedded(tmp_path: Path) -> None:
    embedder = ColorEmbedder()
    known = saved(Lake(tmp_path), [6, 9, 2, 4], embedder.model_id)
    vectors, computed = embed(shard(ROWS), positions(ROWS), embedder, known)
    assert computed == embedder.embedded == 4
    np.testing.assert_array_equal(vectors, [vector(seed) for seed in (1, 2, 3, 4, 5, 6, 7)])


def test_a_known_vector_is_not_computed_again_even_if_it_were_to_differ(tmp_path: Path) -> None:
    embedder = ColorEmbedder()
    lake = Lake(tmp_path)
    write = lake.write("sscd_embeddings", "some", code_version="1", model_id=embedder.model_id)
    marker = np.full((1, 192), 0.5, np.float16)
    with write.add("a") as unit:
        unit.array("vectors", marker)
        unit.table("ids", pa.table({"image_id": [image_id(image(3))]}), IDS_SCHEMA)
    known = KnownVectors(lake, write.commit(), embedder.model_id)
    vectors, _ = embed(shard(ROWS), positions(ROWS), embedder, known)
    np.testing.assert_array_equal(vectors[2], marker[0])


def test_the_source_is_not_read_when_every_vector_is_known(tmp_path: Path) -> None:
    def unreadable() -> Iterator[pa.RecordBatch]:
        raise AssertionError("the source was read")
        yield

    embedder = ColorEmbedder()
    known = saved(Lake(tmp_path), [1, 2, 3], embedder.model_id)
    vectors, computed = embed(unreadable(), positions([[1], [3, 2]]), embedder, known)
    assert computed == embedder.embedded == 0
    np.testing.assert_array_equal(vectors, [vector(1), vector(3), vector(2)])


def test_vectors_of_another_model_are_not_used(tmp_path: Path) -> None:
    embedder = ColorEmbedder()
    known = saved(Lake(tmp_path), [1, 2, 3], "other@000000000000/skew_320")
    assert embed(shard([[1]]), positions([[1]]), embedder, known)[1] == 1


def test_an_earlier_state_without_images_knows_nothing(tmp_path: Path) -> None:
    embedder = ColorEmbedder()
    known = saved(Lake(tmp_path), [], embedder.model_id)
    assert embed(shard([[1]]), positions([[1]]), embedder, known)[1] == 1


def test_nothing_wanted_gives_an_empty_matrix_of_the_model_s_width() -> None:
    vectors, computed = embed(shard([[], [BROKEN]]), positions([[], [BROKEN]]), ColorEmbedder(), nothing())
    assert vectors.shape == (0, 192)
    assert computed == 0


@pytest.mark.parametrize(
    "now",
    [[[], [1, 8], [3]], [[], [1, 2], []], [[], [2, 1], [3]], [[], [1, BROKEN], [3]], [[], [1], [3]]],
    ids=["other image", "image gone", "order", "unreadable", "fewer in the row"],
)
def test_a_image_that_changed_since_it_was_listed_is_an_error(now: Layout) -> None:
    with pytest.raises(VisdivError, match="has changed since subset_images was made: materialize it again"):
        embed(shard(now), positions([[], [1, 2], [3]]), ColorEmbedder(), nothing())


def test_rows_that_are_gone_since_they_were_listed_are_an_error() -> None:
    with pytest.raises(VisdivError, match="has changed since"):
        embed(shard([[], [1, 2]]), positions([[], [1, 2], [3]]), ColorEmbedder(), nothing())


def test_positions_between_takes_the_rows_of_a_shard() -> None:
    everything = positions(ROWS)
    taken = [positions_between(everything, first, end)["row"].to_pylist() for first, end in ((0, 3), (3, 5), (5, 99))]
    assert taken == [[1], [3, 3, 3, 4], [7, 8]]


def test_progress_counts_known_and_computed_images(tmp_path: Path) -> None:
    embedder = ColorEmbedder()
    told: list[int] = []
    embed_positions(
        shard(ROWS),
        positions(ROWS),
        embedder,
        first_row=0,
        known=saved(Lake(tmp_path), [1, 2, 3], embedder.model_id),
        threads=1,
        limits=DecodeLimits(MAX_PIXELS),
        progress=told.append,
    )
    assert told[0] == 3
    assert sum(told) == 7


def test_defects_of_vectors_are_counted() -> None:
    good = np.eye(4, dtype=np.float16)
    bad = good.copy()
    bad[0, 1], bad[1, 1], bad[2, 2], bad[3, 3] = np.nan, np.inf, 1.01, 0
    assert vector_defects([good, bad]) == {"not_finite": 2, "not_unit_length": 2}
    assert vector_defects([good]) == {"not_finite": 0, "not_unit_length": 0}
    assert vector_defects([]) == {"not_finite": 0, "not_unit_length": 0}


def test_rounding_to_float16_is_no_defect() -> None:
    vectors = np.random.default_rng(0).normal(size=(1000, 512))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    assert vector_defects([vectors.astype(np.float16)]) == {"not_finite": 0, "not_unit_length": 0}
