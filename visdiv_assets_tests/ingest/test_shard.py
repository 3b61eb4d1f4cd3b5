"""One pass over a shard: what it makes, what it leaves out, and what it holds in memory."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from visdiv_assets.embedding.shards import IDS_SCHEMA, KnownVectors
from visdiv_assets.errors import ModelError
from visdiv_assets.imaging.decode import decode_image
from visdiv_assets.imaging.identity import image_id
from visdiv_assets.imaging.limits import DecodeLimits
from visdiv_assets.imaging.listing import IMAGES_SCHEMA, describe
from visdiv_assets.imaging.local_features import extract_features
from visdiv_assets.imaging.thumbnails import encode_thumbnail
from visdiv_assets.ingest import ModelWanted, ShardProducts, Wanted, ingest_shard, shard
from visdiv_assets.ingest.known import KnownBlobs
from visdiv_assets.ingest.turns import TURN_COLUMNS
from visdiv_assets.ingest.wanted import every_image
from visdiv_assets.sources.schema import schema_of
from visdiv_assets.storage.lake import Lake
from visdiv_assets_tests.conftest import ColorEmbedder
from visdiv_assets_tests.conftest import image as draw
from visdiv_assets_tests.embedding.streams import vectors_of

LIMITS = DecodeLimits(1_000_000)
BROKEN, NOTHING = -1, -2

#: Seeds of the images of each row; `BROKEN` is an image that cannot be read, `NOTHING` one without bytes.
Layout = Sequence[Sequence[int]]
ROWS: Layout = [[], [1], [2, NOTHING, 3, 2], [1, BROKEN, 4], [], [NOTHING, BROKEN], [5, 1]]
DISTINCT = (1, 2, 3, 4, 5)


@cache
def image(seed: int) -> bytes | None:
    return {BROKEN: b"no image", NOTHING: None}[seed] if seed < 0 else draw(seed)


def ids(*seeds: int) -> np.ndarray:
    return np.array([image_id(image(seed) or b"") for seed in seeds], "S32")


class Shard:
    """Rows as the batches of one shard, and the columns that were read of it."""

    def __init__(self, rows: Layout, batch_rows: int = 3) -> None:
        self._rows, self._batch_rows = rows, batch_rows
        self.read: list[list[str]] = []
        self.drawn = 0

    def batches(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        self.read.append(list(columns))
        for start in range(0, len(self._rows), self._batch_rows):
            self.drawn += 1
            rows = [self._row(row) for row in self._rows[start : start + self._batch_rows]]
            yield pa.RecordBatch.from_pylist(rows, schema_of(columns))

    def _row(self, seeds: Sequence[int]) -> dict[str, Any]:
        return {
            "images": [{"bytes": image(seed), "path": None} for seed in seeds],
            "texts": [{"user": str(seed), "assistant": None} for seed in seeds] or None,
            "relevance_ratings": [3],
        }


def ingest(rows: Layout | Shard, wanted: Wanted, *, threads: int = 2, first_row: int = 0) -> ShardProducts:
    read = rows if isinstance(rows, Shard) else Shard(rows)
    return ingest_shard(read.batches, wanted, first_row=first_row, file="part.parquet", threads=threads, limits=LIMITS)


def everything(*embedders: ColorEmbedder) -> Wanted:
    return Wanted(
        images=True,
        turns=True,
        thumbnails=every_image,
        thumbnail_side=32,
        features=every_image,
        models={str(number): ModelWanted(embedder) for number, embedder in enumerate(embedders)},
    )


def listed(made: ShardProducts) -> list[dict[str, Any]]:
    assert made.images is not None
    found: list[dict[str, Any]] = pa.Table.from_batches(made.images.batches(), IMAGES_SCHEMA).to_pylist()
    return found


def description(seed: int) -> tuple[object, ...]:
    data = image(seed)
    return describe(None if data is None else image_id(data), len(data or b""), decode_image(data))


def decoded(seed: int) -> Image.Image:
    pixels = decode_image(image(seed)).pixels
    assert pixels is not None
    return pixels


def vector(seed: int) -> np.ndarray:
    encoded = image(seed)
    assert encoded is not None
    only: np.ndarray = vectors_of([encoded], ColorEmbedder())[0]
    return only


def contents(made: ShardProducts) -> list[object]:
    """Everything in the products, as values that can be compared."""
    assert made.turns is not None
    assert made.turn_counts is not None
    assert made.thumbnails is not None
    assert made.features is not None
    known = KnownBlobs(Lake("/nowhere"), None, "")
    return [
        listed(made),
        list(made.turns.batches()),
        list(made.turn_counts.batches()),
        [(blobs.ids.tolist(), list(blobs.take(blobs.ids, known))) for blobs in (made.thumbnails, made.features)],
        [
            (
                name,
                made.vectors[name].ids.tolist(),
                made.vectors[name].take(made.vectors[name].ids, nothing())[0].tolist(),
            )
            for name in made.vectors
        ],
    ]


def nothing() -> KnownVectors:
    return KnownVectors(Lake("/nowhere"), None, "")


def test_one_pass_makes_every_product() -> None:
    made = ingest(ROWS, everything(ColorEmbedder()), first_row=40)
    positions = [(row + 40, index, seed) for row, seeds in enumerate(ROWS) for index, seed in enumerate(seeds)]
    columns = IMAGES_SCHEMA.names
    expected = [
        dict(zip(columns, [row, index, "part.parquet", row - 40, None, *description(seed)], strict=True))
        for row, index, seed in positions
    ]
    schema = pa.Table.from_pylist(expected, IMAGES_SCHEMA)
    assert listed(made) == schema.to_pylist()
    assert made.turns is not None
    assert made.turn_counts is not None
    turns = pa.Table.from_batches(made.turns.batches()).to_pylist()
    assert [(each["row"], each["turn"], each["user"]) for each in turns] == [(r, i, str(s)) for r, i, s in positions]
    counts = pa.Table.from_batches(made.turn_counts.batches())["turns"].to_pylist()
    assert counts == [len(seeds) or None for seeds in ROWS]
    known = KnownBlobs(Lake("/nowhere"), None, "")
    for blobs, make in (
        (made.thumbnails, lambda pixels: encode_thumbnail(pixels, 32)),
        (made.features, extract_features),
    ):
        assert blobs is not None
        assert blobs.ids.tolist() == ids(*DISTINCT).tolist()
        assert list(blobs.take(blobs.ids, known)) == [make(decoded(seed)) for seed in DISTINCT]
    vectors = made.vectors["0"]
    assert vectors.ids.tolist() == ids(*DISTINCT).tolist()
    taken = vectors.take(vectors.ids, nothing())
    assert (taken.norms, taken.computed) == (None, 5)
    np.testing.assert_array_equal(taken.vectors, [vector(seed) for seed in DISTINCT])


def test_each_different_image_is_decoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bytes | None] = []

    def counted(data: bytes | None, *, limits: DecodeLimits) -> object:
        seen.append(data)
        return decode_image(data, limits=limits)

    monkeypatch.setattr(shard, "decode_image", counted)
    embedder = ColorEmbedder()
    ingest(ROWS, everything(embedder, ColorEmbedder()))
    assert sorted(seen, key=str) == sorted([image(seed) for seed in (*DISTINCT, BROKEN, NOTHING)], key=str)
    assert embedder.embedded == 5


@settings(max_examples=20, deadline=None)
@given(
    rows=st.lists(st.lists(st.integers(NOTHING, 6), max_size=4), max_size=10),
    batch_rows=st.integers(1, 4),
    runs_in_threads=st.booleans(),
)
def test_threads_and_batches_do_not_change_the_products(
    rows: list[list[int]], batch_rows: int, runs_in_threads: bool
) -> None:
    def made(threads: int, batch: int) -> ShardProducts:
        wanted = everything(ColorEmbedder(runs_in_threads=runs_in_threads), ColorEmbedder(batch_size=3))
        return ingest(Shard(rows, batch), wanted, threads=threads)

    one, several = contents(made(1, batch_rows)), contents(pickle.loads(pickle.dumps(made(3, batch_rows))))
    assert one == several
    assert [one[0], *one[3:]] == [(other := contents(made(2, 100)))[0], *other[3:]]


@pytest.mark.parametrize(
    ("wanted", "columns"),
    [
        (Wanted(), None),
        (Wanted(images=True), ["images"]),
        (Wanted(turns=True), list(TURN_COLUMNS)),
        (Wanted(features=every_image), ["images"]),
        (Wanted(turns=True, features=every_image), ["images", *TURN_COLUMNS]),
        (Wanted(features=every_image, listed=ids(1)), ["images"]),
        (Wanted(features=every_image, listed=ids()), None),
        (Wanted(features=lambda found: np.zeros(len(found), bool), listed=ids(1)), None),
    ],
)
def test_only_the_columns_that_are_needed_are_read(wanted: Wanted, columns: list[str] | None) -> None:
    given = Shard(ROWS)
    made = ingest(given, wanted)
    assert given.read == ([columns] if columns else [])
    assert (made.images is not None, made.turns is not None) == (wanted.images, wanted.turns)
    assert (made.thumbnails is None, made.vectors) == (True, {})


def test_only_chosen_images_are_made_and_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    embedder = ColorEmbedder()
    wanted = Wanted(
        features=lambda found: np.isin(found, ids(2, 4)),
        models={"color": ModelWanted(embedder, lambda found: ~np.isin(found, ids(1, 4, 5)))},
    )
    seen: list[bytes | None] = []

    def counted(data: bytes | None, *, limits: DecodeLimits) -> object:
        seen.append(data)
        return decode_image(data, limits=limits)

    monkeypatch.setattr(shard, "decode_image", counted)
    made = ingest(ROWS, wanted, threads=1)
    assert made.features is not None
    assert made.features.ids.tolist() == ids(2, 4).tolist()
    assert made.vectors["color"].ids.tolist() == ids(2, 3).tolist()
    assert seen == [image(seed) for seed in (2, 3, BROKEN, 4)]


def test_listed_images_are_the_only_ones_that_are_made() -> None:
    given = Shard(ROWS, batch_rows=1)
    made = ingest(given, Wanted(features=every_image, listed=ids(2, 3)))
    assert made.features is not None
    assert made.features.ids.tolist() == ids(2, 3).tolist()
    assert given.drawn == 3, "rows after the last listed image are not read"


@pytest.mark.parametrize("seed", [9, BROKEN])
def test_a_listed_image_that_is_gone_or_unreadable_is_an_error(seed: int) -> None:
    with pytest.raises(ModelError, match=f"image {ids(seed)[0].decode()} has changed since subset_images was made"):
        ingest(ROWS, Wanted(features=every_image, listed=ids(1, seed)))


def test_products_are_joined_with_those_of_an_earlier_state(tmp_path: Path) -> None:
    lake, embedder = Lake(tmp_path), ColorEmbedder()
    marker = np.full((2, 192), 0.5, np.float16)
    write = lake.write("earlier", "some", code_version="1", model_id=embedder.model_id)
    with write.add("a") as unit:
        unit.blobs("features", [b"three", b"nine"])
        unit.array("vectors", marker)
        unit.table("ids", pa.table({"image_id": ids(3, 9).astype("U32")}), IDS_SCHEMA)
    manifest = write.commit()
    blobs, vectors = KnownBlobs(lake, manifest, "features"), KnownVectors(lake, manifest, embedder.model_id)
    wanted = Wanted(
        features=blobs.missing, models={"color": ModelWanted(embedder, lambda found: ~vectors.rows(found)[0])}
    )
    made = ingest(ROWS, wanted)
    assert embedder.embedded == 4
    assert made.features is not None
    assert list(made.features.take(ids(5, 3, 1), blobs)) == [
        extract_features(decoded(5)),
        b"three",
        extract_features(decoded(1)),
    ]
    taken = made.vectors["color"].take(ids(5, 3, 1), vectors)
    np.testing.assert_array_equal(taken.vectors, [vector(5), marker[0], vector(1)])
    assert taken.computed == 2
    with pytest.raises(ModelError, match="has changed"):
        list(made.features.take(ids(8), blobs))
    with pytest.raises(ModelError, match="has changed"):
        made.vectors["color"].take(ids(8), vectors)


class NormEmbedder(ColorEmbedder):
    keeps_norms = True


def test_norms_are_kept_if_the_model_keeps_them() -> None:
    made = ingest(ROWS, Wanted(models={"norm": ModelWanted(NormEmbedder())}))
    taken = made.vectors["norm"].take(ids(2, 1), nothing())
    assert taken.norms is not None
    assert taken.norms.shape == (2,)


def test_progress_counts_rows() -> None:
    told: list[int] = []
    ingest_shard(Shard(ROWS).batches, Wanted(images=True), first_row=0, threads=2, limits=LIMITS, progress=told.append)
    assert told == [3, 3, 1]


def test_few_rows_are_read_before_their_images_are_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    given = Shard([[seed] for seed in range(60)], batch_rows=1)
    most = 0
    done = 0
    lock = threading.Lock()

    def counted(data: bytes | None, *, limits: DecodeLimits) -> object:
        nonlocal most, done
        with lock:
            most = max(most, given.drawn - done)
            done += 1
        return decode_image(data, limits=limits)

    monkeypatch.setattr(shard, "decode_image", counted)
    ingest(given, Wanted(images=True), threads=2)
    assert most <= 6


def test_decoded_images_wait_for_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shard, "DECODED_BYTES", 64 * 64 * 8)
    running = most = 0
    lock = threading.Lock()

    def counted(data: bytes | None, *, limits: DecodeLimits) -> object:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        result = decode_image(data, limits=limits)
        with lock:
            running -= 1
        return result

    monkeypatch.setattr(shard, "decode_image", counted)
    ingest([[seed] for seed in range(30)], Wanted(features=every_image), threads=4)
    assert most == 1


def test_an_error_of_the_source_ends_the_pass() -> None:
    def broken(columns: Sequence[str]) -> Iterable[pa.RecordBatch]:
        yield from Shard(ROWS).batches(columns)
        raise OSError("gone")

    before = threading.active_count()
    with pytest.raises(OSError, match="gone"):
        ingest_shard(broken, everything(ColorEmbedder()), first_row=0, threads=3, limits=LIMITS)
    assert threading.active_count() == before


def batch_of(*images: tuple[bytes | None, str | None]) -> pa.RecordBatch:
    """One row per image, from its bytes and path."""
    rows = [{"images": [{"bytes": data, "path": path}]} for data, path in images]
    return pa.RecordBatch.from_pylist(rows, schema_of(["images"]))


def test_each_file_that_is_not_found_is_named() -> None:
    images = batch_of((None, "a.png"), (None, None), (None, "b.png"), (None, "a.png"), (image(1), "c.png"))
    made = ingest_shard(lambda columns: [images], Wanted(images=True), first_row=0, threads=2, limits=LIMITS)
    rows = listed(made)
    assert [row["status"] for row in rows] == ["not_found", "empty", "not_found", "not_found", "ok"]
    assert [row["path"] for row in rows] == ["a.png", None, "b.png", "a.png", "c.png"]
    assert ["'a.png'" in row["detail"] for row in rows] == [True, False, False, True, False]
    assert [row["image_id"] is None for row in rows] == [True] * 4 + [False]


def test_a_row_that_is_a_file_is_named_by_its_path() -> None:
    images = batch_of((image(1), "x/1.png"), (image(2), "x/2.png"))
    made = ingest_shard(lambda columns: [images], Wanted(images=True), first_row=7, threads=1, limits=LIMITS)
    found = [(row["row"], row["file"], row["row_in_file"], row["path"]) for row in listed(made)]
    assert found == [(7, "x/1.png", 0, "x/1.png"), (8, "x/2.png", 0, "x/2.png")]
