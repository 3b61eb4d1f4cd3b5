"""Pairs that regions propose, against a plain comparison of all regions with all images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from visdiv_assets.contamination.benchmark_images import collect_benchmarks, load_benchmark_regions
from visdiv_assets.contamination.images import find_leaks
from visdiv_assets.duplicates import near
from visdiv_assets.duplicates.candidates import CANDIDATE_SCHEMA, REGION_FLOOR, CandidateRule, Images
from visdiv_assets.duplicates.pdq_join import Hashes
from visdiv_assets.duplicates.regions import (
    Regions,
    load_regions,
    pairs_of_images,
    region_pairs,
    ungrouped,
    with_regions,
)
from visdiv_assets.embedding.regions import REGIONS
from visdiv_assets.embedding.shards import IDS_SCHEMA
from visdiv_assets.imaging.id_index import IdIndex
from visdiv_assets.storage.lake import Lake
from visdiv_assets.storage.manifest import Manifest
from visdiv_assets.vectors.join import PAIR_SCHEMA
from visdiv_assets.vectors.join_blocks import OtherSide, compute_part, merge_parts
from visdiv_assets.vectors.matrix import Matrix
from visdiv_assets_tests.testing.vectors import random_units, slow_best, slow_join, unit

relaxed = settings(deadline=None, max_examples=50)

DIMENSION = 12
Pair = tuple[int, int]


def drawn(random: np.random.Generator, count: int, seeds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Draw images [n, d] near a few seeds, and regions [n, 9, d] of which some are near a seed and some are zero."""
    near_seed = seeds[random.integers(0, len(seeds), count)] + 0.2 * random.standard_normal((count, DIMENSION))
    shown = seeds[random.integers(0, len(seeds), (count, REGIONS))]
    regions = unit((shown + 0.3 * random.standard_normal(shown.shape)).reshape(-1, DIMENSION))
    regions[random.random(len(regions)) < 0.4] = 0
    return unit(near_seed).astype(np.float32), regions.reshape(count, REGIONS, DIMENSION).astype(np.float32)


def as_regions(regions: np.ndarray) -> Regions:
    """Return regions [n, 9, d] of the images of a set."""
    return Regions(np.repeat(np.arange(len(regions)), REGIONS), regions.reshape(-1, DIMENSION))


def joined(left: Matrix, right: OtherSide, rule: CandidateRule) -> pa.Table:
    part = compute_part(left, right, (0, left.shape[0]), rule.of_regions())
    return merge_parts(left, right, [part], rule.of_regions()).candidates


def named(count: int) -> pa.Array:
    """Image_ids in the order of the images."""
    return pa.array([f"{number:032x}" for number in range(count)], pa.string())


def images(vectors: np.ndarray) -> Images:
    return Images(named(len(vectors)), vectors, Hashes.of(pa.nulls(len(vectors), pa.binary())))


def indices(table: pa.Table, columns: tuple[str, str]) -> set[Pair]:
    a, b = ([int(name, 16) for name in table[column].to_pylist()] for column in columns)
    assert len(set(zip(a, b, strict=True))) == len(a)
    return set(zip(a, b, strict=True))


def slow_added(similarity: np.ndarray, whole: set[Pair], taken: Sequence[int], floor: float, k: int) -> set[Pair]:
    """Return the best pairs of each left image beyond those that it has: similarity [n, m], ties by the right image."""
    added = set()
    for i, row in enumerate(similarity):
        order = sorted(range(len(row)), key=lambda j, row=row: (-row[j], j))  # type: ignore[misc]
        free = [j for j in order if row[j] >= floor and (i, j) not in whole]
        added |= {(i, j) for j in free[: max(k - taken[i], 0)]}
    return added


@relaxed
@given(
    seed=st.integers(0, 2**16),
    count=st.integers(0, 12),
    k=st.integers(1, 4),
    floor=st.sampled_from([0.3, REGION_FLOOR, 0.8]),
)
def test_within_a_set_each_image_adds_its_closest_regions(seed: int, count: int, k: int, floor: float) -> None:
    random = np.random.default_rng(seed)
    vectors, regions = drawn(random, count, random_units(3, DIMENSION, seed))
    rule = CandidateRule(floor, k, 0)
    by_region = pairs_of_images(
        joined(as_regions(regions).vectors, ungrouped(vectors), rule), as_regions(regions), None
    )
    partners = rule.partners(0.75, 64)
    part = compute_part(vectors, None, (0, count), partners)
    columns = ("image_id_a", "image_id_b")
    without, found = (
        indices(near.near_duplicates(images(vectors), [part], partners, rule, [], pairs).candidates, columns)
        for pairs in (None, by_region)
    )
    similarity = np.einsum("ird,jd->irj", regions.astype(float), vectors.astype(float)).max(axis=1)
    np.fill_diagonal(similarity, -1)
    # Also those that do not stand out: they are no candidates, and regions do not propose them again.
    whole = {pair[:2] for pair in slow_best(slow_join(vectors, None, floor), k, within=True)}
    assert without <= whole
    taken = [sum(image in pair for pair in whole) for image in range(count)]
    either = whole | {(j, i) for i, j in whole}
    added = slow_added(similarity, either, taken, max(floor, REGION_FLOOR), k)
    assert found == without | {(min(pair), max(pair)) for pair in added}


@relaxed
@given(seed=st.integers(0, 2**16), count=st.integers(0, 8), others=st.integers(1, 8), k=st.integers(1, 3))
def test_either_image_of_a_leak_may_show_the_other(seed: int, count: int, others: int, k: int) -> None:
    random = np.random.default_rng(seed)
    seeds = random_units(3, DIMENSION, seed)
    (own, own_regions), (bench, bench_regions) = drawn(random, count, seeds), drawn(random, others, seeds)
    rule = CandidateRule(0.6, REGIONS * k, 0)
    benchmarks = collect_benchmarks({"bench": images(bench)})
    # Lists of all regions: shorter ones may hold several of one image only.
    wide = CandidateRule(0.6, REGIONS * others, 0)
    shown = joined(as_regions(own_regions).vectors, benchmarks.side, wide)
    showing = joined(own, as_regions(bench_regions).side, wide)
    tables = [
        pairs_of_images(shown, as_regions(own_regions), None),
        pairs_of_images(showing, None, as_regions(bench_regions)),
    ]
    by_region = pairs_of_images(pa.concat_tables(tables), None, None)
    partners = rule.partners(0.75, 64)
    part = compute_part(own, benchmarks.side, (0, count), partners)
    columns = ("image_id", "benchmark_image_id")
    without, found = (
        indices(find_leaks(images(own), benchmarks, [part], partners, rule, pairs).candidates, columns)
        for pairs in (None, by_region)
    )
    similarity = np.maximum(
        np.einsum("ird,jd->irj", own_regions.astype(float), bench.astype(float)).max(axis=1),
        np.einsum("id,jrd->ijr", own.astype(float), bench_regions.astype(float)).max(axis=2),
    )
    taken = [sum(i == image for i, _ in without) for image in range(count)]
    assert found == without | slow_added(similarity, without, taken, 0.6, REGIONS * k)


def test_pairs_of_whole_images_come_first_and_keep_their_values() -> None:
    vectors = random_units(5, DIMENSION)
    whole = pa.Table.from_pylist([{"left": 0, "right": 1, "similarity": 0.9, "pdq_distance": 3}], CANDIDATE_SCHEMA)
    closest = [(0, 1, 1.0), (0, 2, 0.7), (0, 3, 0.8), (0, 4, 0.9), (4, 0, 0.6), (2, 2, 1.0)]
    by_region = pa.table([list(column) for column in zip(*closest, strict=True)], schema=PAIR_SCHEMA)
    added = {k: region_pairs(whole, by_region, vectors, None, k) for k in (1, 2, 3)}
    found = {k: with_regions(whole, table).to_pylist() for k, table in added.items()}
    pairs = {k: [(pair["left"], pair["right"]) for pair in table] for k, table in found.items()}
    # The image 4 shows 0, which has its number of pairs already.
    assert pairs == {1: [(0, 1), (0, 4)], 2: [(0, 1), (0, 4)], 3: [(0, 1), (0, 3), (0, 4)]}
    assert found[1][0] == whole.to_pylist()[0] | {"similarity": pytest.approx(0.9)}
    assert found[1][1]["pdq_distance"] is None
    assert found[1][1]["similarity"] == pytest.approx(float(vectors[0] @ vectors[4]), abs=1e-6)


# Stored regions ------------------------------------------------------------------------------------------------------


def stored(lake: Lake, table: str, name: str, shards: Sequence[Sequence[int]]) -> Manifest:
    """Store regions: every vector of the image n is n, and that of its region r has r in the first place."""
    write = lake.write(table, name, code_version="1")
    for index, numbers in enumerate(shards):
        vectors = np.repeat(np.array(numbers, np.float16)[:, None], REGIONS * DIMENSION, axis=1)
        vectors[:, ::DIMENSION] = np.arange(REGIONS)
        ids = named(max(numbers, default=0) + 1).take(pa.array(numbers, pa.int64()))
        with write.add(f"shard {index}") as unit:
            unit.array("vectors", vectors)
            unit.table("ids", pa.table([ids], schema=IDS_SCHEMA), IDS_SCHEMA)
    return write.commit()


def listed(regions: Regions) -> list[tuple[int, int, int]]:
    """Return the image, the number and the place of each region."""
    vectors = np.asarray(regions.vectors[:])
    assert vectors.shape == (len(regions.images), DIMENSION)
    return list(zip(regions.images.tolist(), vectors[:, 1].astype(int), vectors[:, 0].astype(int), strict=True))


@pytest.mark.parametrize(
    ("sets", "order"),
    [
        ([[[4, 2], [], [7]]], [4, 2, 7]),
        ([[[4, 2]], [[2, 9], [4]], [[1]]], [4, 2, 9, 1]),
        ([[[4, 8], [2]]], [4, 2]),  # 8 is not among the images
        ([[[]]], []),
    ],
)
def test_regions_are_loaded_once_for_each_image(tmp_path: Path, sets: list[list[list[int]]], order: list[int]) -> None:
    lake = Lake(tmp_path)
    manifests = [stored(lake, "benchmark_regions", str(index), shards) for index, shards in enumerate(sets)]
    images = [1, 2, 4, 7, 9]
    index = IdIndex(named(10).take(pa.array(images)))
    expected = [(images.index(image), image, place) for image in order for place in range(REGIONS)]
    assert listed(load_regions(lake, manifests, index)) == expected


def test_regions_of_benchmarks_are_kept_for_the_next_subset(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    regions = [stored(lake, "benchmark_regions", "bench", [[0, 1]])]
    images = lake.write("benchmark_images", "bench", code_version="1")
    with images.add("rows") as unit:
        unit.table("rows", pa.table({"image_id": named(2), "pdq": pa.nulls(2, pa.binary())}).to_batches(), _HASHED)
    embeddings = lake.write("benchmark_embeddings", "bench", code_version="1")
    with embeddings.add("rows") as unit:
        unit.array("vectors", np.eye(2, DIMENSION, dtype=np.float16))
        unit.table("ids", pa.table([named(2)], schema=IDS_SCHEMA), IDS_SCHEMA)
    benchmarks = {"bench": (images.commit(), embeddings.commit())}
    first = load_benchmark_regions(lake, benchmarks, regions)
    assert [image for image, _, _ in listed(first)] == [0] * REGIONS + [1] * REGIONS
    assert load_benchmark_regions(lake, benchmarks, regions) is first
    changed = [stored(lake, "benchmark_regions", "bench", [[1, 0]])]
    assert [image for image, _, _ in listed(load_benchmark_regions(lake, benchmarks, changed))][:1] == [1]


_HASHED = pa.schema([("image_id", pa.string()), ("pdq", pa.binary())])
