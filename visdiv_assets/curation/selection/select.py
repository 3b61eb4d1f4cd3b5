"""The rows that a selection method would choose, for `visdiv select`.

Scores that need CLIP vectors alone are stored (`selection_scores`); the other methods are computed when they are asked
for. A row stands for its first readable image where a method picks images, and for all its texts joined where it
looks at texts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from visdiv_assets.corpus.access import require_one_model
from visdiv_assets.corpus.tables import CORPUS_PARTITION, LakeTable
from visdiv_assets.curation.reasons import KEEP_BY
from visdiv_assets.curation.selection import select_diverse_samples
from visdiv_assets.curation.selection.clip_cov import clip_cov
from visdiv_assets.curation.selection.clippings import PooledPairs, nearest_earlier
from visdiv_assets.curation.selection.metaclip import EntryMatcher, corpus_entries, draw_scores, threshold_of_tail
from visdiv_assets.curation.selection.methods import METHODS, scores_of_picks
from visdiv_assets.curation.selection.stored_scores import best_first
from visdiv_assets.curation.selection.wfpp import count_words, wfpp
from visdiv_assets.errors import InputError
from visdiv_assets.sources import Kind, Source
from visdiv_assets.sources.texts import joined_turns
from visdiv_assets.storage.arrays import RowsOf, StackedArray
from visdiv_assets.storage.lake import Lake
from visdiv_assets.vectors.id_index import IdIndex
from visdiv_assets.vectors.join import self_join

STORED = tuple(name for name in KEEP_BY if name)
DIVERSE = ("k_center", "k_means_plus_plus")
TEXTS = ("wfpp", "metaclip")
PAIRS = ("clip_cov", "clippings")
FOUND = ("text_overlap",)
#: All that can be asked for, in the order in which they are listed.
CHOICES = (*STORED, *DIVERSE, *PAIRS, *TEXTS, *FOUND)

CHOSEN_SCHEMA = pa.schema([("subset", pa.string()), ("row", pa.int64()), ("score", pa.float32())])

#: Similarity of pooled vectors from which CLIPPINGS calls two samples near duplicates, and how many of each it sees.
POOLED_CLOSE, POOLED_KEPT = 0.9, 64

#: Share of all matches that MetaCLIP's rare entries make up, as in MetaCLIP 2; it sets the threshold.
TAIL_SHARE = 0.06


@dataclass(frozen=True)
class Rows:
    """Rows of several subsets.

    Attributes:
        subset: string array [n].
        row: int64 [n].
    """

    subset: pa.Array
    row: np.ndarray


def select_rows(
    lake: Lake, source: Source, method: str, subsets: Sequence[str], *, count: int | None, fraction: float | None
) -> pa.Table:
    """The rows that a method chooses, best first.

    Args:
        lake: with what the stages wrote.
        source: where texts are read.
        method: one of `CHOICES`.
        subsets: names of those that are chosen from; empty: all that have what the method needs.
        count: how many rows; or None, and
        fraction: what share of the rows that the method can judge.

    Returns:
        table of `CHOSEN_SCHEMA`. Of methods that pick, the score falls evenly from 1 in the order of the picks.

    Raises:
        InputError: the method is unknown, or the lake lacks what it needs.
    """
    if method in DIVERSE or method == "clip_cov":
        rows, order = _picked(lake, method, subsets, count, fraction)
        scores = scores_of_picks(order, len(rows.row))
    else:
        rows, scores = _scored(lake, source, method, subsets)
        order = best_first(method, scores)[: _wanted(len(scores), count, fraction)]
    chosen = pa.array(order)
    return pa.table(
        [rows.subset.take(chosen), pa.array(rows.row[order]), pa.array(scores[order], pa.float32())],
        schema=CHOSEN_SCHEMA,
    )


def describe_preference(method: str) -> str:
    """What a method keeps first, in words."""
    if method == "clip_score":
        return "texts that fit their images"
    said = METHODS[method]
    return said.high if said.keeps == "high" else f"the opposite of: {said.high}"


def stored_scores(lake: Lake, subsets: Sequence[str]) -> pa.Table:
    """The rows of `selection_scores` of some subsets (none: all).

    Raises:
        InputError: there are none.
    """
    manifest = lake.manifest(LakeTable.SELECTION_SCORES, CORPUS_PARTITION)
    if manifest is None or not manifest.rows("scores"):
        raise InputError(
            "there are no selection_scores: get CLIP weights (VISDIV_CLIP_MODEL) and run `visdiv run --all`, or choose "
            f"one of {', '.join((*DIVERSE, *TEXTS))}, which need none"
        )
    if missing := [name for name in subsets if name not in manifest.facts["subsets"]]:
        raise InputError(f"selection_scores have no row of {missing[0]!r}: run `visdiv run {missing[0]!r}` first")
    where = pc.field("subset").isin(pa.array(list(subsets))) if subsets else None
    return lake.read(manifest, "scores", where=where)


def first_images(lake: Lake, table: str, subsets: Sequence[str]) -> tuple[Rows, RowsOf]:
    """The rows with an image, and the vectors of their first readable images, row by row.

    Raises:
        InputError: a subset has no such vectors, or two were embedded by different models.
    """
    manifests = [lake.require(table, subset) for subset in subsets]
    require_one_model(manifests)
    names: list[str] = []
    rows, numbers, parts, offset = [np.empty(0, np.int64)], [np.empty(0, np.int64)], [], 0
    for manifest in manifests:
        listed = lake.read(
            lake.require(LakeTable.SUBSET_IMAGES, manifest.partition),
            columns=["row", "image_id"],
            where=pc.field("status") == "ok",
        )
        vector = IdIndex(lake.read(manifest, "ids")["image_id"]).of(listed["image_id"])
        row = listed["row"].to_numpy()[vector >= 0]
        once, first = np.unique(row, return_index=True)
        rows.append(once)
        numbers.append(vector[vector >= 0][first] + offset)
        names += [manifest.partition] * len(once)
        part = lake.array(manifest, "vectors")
        parts += part.parts
        offset += len(part)
    return Rows(pa.array(names, pa.string()), np.concatenate(rows)), RowsOf(
        StackedArray(parts), np.concatenate(numbers)
    )


def _wanted(rows: int, count: int | None, fraction: float | None) -> int:
    return min(count, rows) if count is not None else round((1.0 if fraction is None else fraction) * rows)


def _held(source: Source, subsets: Sequence[str]) -> list[str]:
    held = source.subsets()
    if missing := [name for name in subsets if name not in held]:
        raise InputError(f"{source.uri} has no subset {missing[0]!r}: it has {', '.join(held)}")
    return sorted(set(subsets)) or held


def _scored(lake: Lake, source: Source, method: str, subsets: Sequence[str]) -> tuple[Rows, np.ndarray]:
    """The rows that a method can judge, and its scores, float32 [n]."""
    if method in STORED:
        return _stored(lake, method, subsets)
    if method in TEXTS:
        return _by_texts(source, method, _held(source, subsets))
    if method in FOUND:
        return _by_overlap(lake, subsets)
    if method in PAIRS:
        rows, images, texts = _pairs(lake, subsets)
        close = self_join(PooledPairs(images, texts), POOLED_CLOSE, k_best=POOLED_KEPT)
        return rows, nearest_earlier(len(rows.row), close)
    raise InputError(f"no selection method {method!r}: there are {', '.join(CHOICES)}")


def _stored(lake: Lake, method: str, subsets: Sequence[str]) -> tuple[Rows, np.ndarray]:
    table = stored_scores(lake, subsets)
    scored = table.filter(pc.is_valid(table[method]))
    if not scored.num_rows:
        raise InputError(f"no row has a score by {method}: there may be too few images, or no texts")
    return Rows(scored["subset"].combine_chunks(), scored["row"].to_numpy()), scored[method].to_numpy()


def _picked(
    lake: Lake, method: str, subsets: Sequence[str], count: int | None, fraction: float | None
) -> tuple[Rows, np.ndarray]:
    if method in DIVERSE:
        rows, vectors = images_of(lake, subsets)
        wanted = _wanted(vectors.shape[0], count, fraction)
        return rows, select_diverse_samples(vectors, wanted, cast("Literal['k_center', 'k_means_plus_plus']", method))
    rows, images, texts = _pairs(lake, subsets)
    return rows, clip_cov(images, texts, _wanted(len(rows.row), count, fraction))


def images_of(lake: Lake, subsets: Sequence[str]) -> tuple[Rows, RowsOf]:
    """As `first_images` of some subsets (none: all), by CLIP, or by SSCD where there are no CLIP vectors.

    Raises:
        InputError: there are neither.
    """
    table = (
        LakeTable.CLIP_IMAGE_EMBEDDINGS
        if lake.partitions(LakeTable.CLIP_IMAGE_EMBEDDINGS)
        else LakeTable.SSCD_EMBEDDINGS
    )
    return first_images(lake, table, _all_of(lake, table, subsets))


def _all_of(lake: Lake, table: str, subsets: Sequence[str]) -> list[str]:
    names = sorted(set(subsets)) or lake.partitions(table)
    if not names:
        raise InputError(f"there is no {table} of any subset: run `visdiv run --all` first")
    return names


def _pairs(lake: Lake, subsets: Sequence[str]) -> tuple[Rows, RowsOf, RowsOf]:
    """The rows with an image and a text, and the CLIP vectors of their first ones."""
    names = _all_of(lake, LakeTable.CLIP_IMAGE_EMBEDDINGS, subsets)
    rows, vectors = first_images(lake, LakeTable.CLIP_IMAGE_EMBEDDINGS, names)
    texts, has = _first_texts(lake, rows, names)
    kept = np.flatnonzero(has)
    rows = Rows(rows.subset.take(pa.array(kept)), rows.row[kept])
    return rows, RowsOf(vectors, kept), RowsOf(texts, kept)


def _by_overlap(lake: Lake, subsets: Sequence[str]) -> tuple[Rows, np.ndarray]:
    """Every row, and the largest share of a text of it that stands word by word in a benchmark; 0 for none."""
    names = _all_of(lake, LakeTable.TEXT_CONTAMINATION, subsets)
    found_in: list[np.ndarray] = []
    for name in names:
        found = lake.read(lake.require(LakeTable.TEXT_CONTAMINATION, name), "overlaps", columns=["row", "share"])
        score = np.zeros(int(lake.require(LakeTable.SUBSET_IMAGES, name).facts["rows"]), np.float32)
        np.maximum.at(score, found["row"].to_numpy(), found["share"].to_numpy())
        found_in.append(score)
    return _every_row(names, [len(score) for score in found_in]), np.concatenate(found_in)


def _every_row(subsets: Sequence[str], sizes: Sequence[int]) -> Rows:
    names = pa.array(np.repeat(np.array(subsets, object), sizes), pa.string())
    return Rows(names, np.concatenate([np.arange(size) for size in sizes]))


def _first_texts(lake: Lake, rows: Rows, subsets: Sequence[str]) -> tuple[RowsOf, np.ndarray]:
    """The vectors of the rows' first texts, row by row, and which rows have one."""
    numbers = np.zeros(len(rows.row), np.int64)
    has = np.zeros(len(rows.row), bool)
    parts: list[np.ndarray] = []
    offset = 0
    names = rows.subset.to_numpy(zero_copy_only=False)
    for subset in subsets:
        manifest = lake.require(LakeTable.CLIP_TEXT_EMBEDDINGS, subset)
        turns = lake.read(manifest, "turns", columns=["row", "text_id"], where=pc.field("text_id").is_valid())
        text = IdIndex(lake.read(manifest, "texts", columns=["text_id"])["text_id"]).of(turns["text_id"])
        first_row, first = np.unique(turns["row"].to_numpy(), return_index=True)
        mine = np.flatnonzero(names == subset)
        place = np.searchsorted(first_row, rows.row[mine])
        place = np.minimum(place, max(len(first_row) - 1, 0))
        there = first_row[place] == rows.row[mine] if len(first_row) else np.zeros(len(mine), bool)
        numbers[mine[there]] = text[first[place[there]]] + offset
        has[mine[there]] = True
        part = lake.array(manifest, "vectors")
        parts += part.parts
        offset += len(part)
    return RowsOf(StackedArray(parts), numbers), has


class _RowTexts:
    """The texts of all rows of some subsets, an Arrow array at a time, each time anew from the files."""

    def __init__(self, source: Source, subsets: Sequence[str]) -> None:
        self._source, self._subsets = source, subsets

    def __iter__(self) -> Iterator[pa.Array]:
        for subset in self._subsets:
            for shard in self._source.shards(Kind.SUBSET, subset):
                for batch in self._source.batches(Kind.SUBSET, subset, shard, columns=["texts"], batch_rows=256):
                    yield pa.array([joined_turns(turns) for turns in batch.column("texts").to_pylist()], pa.string())


def _by_texts(source: Source, method: str, subsets: Sequence[str]) -> tuple[Rows, np.ndarray]:
    texts = _RowTexts(source, subsets)
    if method == "wfpp":
        scores = wfpp(texts, count_words(texts))
    else:
        entries = corpus_entries(texts)
        if not entries:
            raise InputError("the texts have no word that occurs often enough to balance by: choose another method")
        matcher = EntryMatcher(entries)
        counts = matcher.counts(texts)
        scores = draw_scores(matcher.keep_probabilities(texts, counts, threshold_of_tail(counts, TAIL_SHARE)))
    sizes = [sum(shard.rows for shard in source.shards(Kind.SUBSET, subset)) for subset in subsets]
    return _every_row(subsets, sizes), scores
