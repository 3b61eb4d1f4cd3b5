"""Selection of rows by a method, for `visdiv select`.

Scores that need only CLIP vectors are stored (`selection_scores`); the other methods are computed on request. Methods
that pick images use the first readable image of each row, and methods that read texts use all texts of a row, joined.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from visdiv_assets.corpus.access import current_turns, require_made_from, require_one_model
from visdiv_assets.corpus.tables import CORPUS_PARTITION, LakeTable, remedy
from visdiv_assets.corpus.turns import ShardTurns, joined_texts, stored_turns
from visdiv_assets.curation.reasons import KEEP_BY
from visdiv_assets.curation.selection import select_diverse_samples
from visdiv_assets.curation.selection.clip_cov import clip_cov
from visdiv_assets.curation.selection.clippings import PooledPairs, nearest_earlier
from visdiv_assets.curation.selection.metaclip import EntryMatcher, corpus_entries, draw_scores, threshold_of_tail
from visdiv_assets.curation.selection.methods import METHODS, order_rows, scores_of_picks
from visdiv_assets.curation.selection.stored_scores import require_scores_of
from visdiv_assets.curation.selection.wfpp import count_words, wfpp
from visdiv_assets.errors import InputError, NotMaterializedError, StaleError, StorageError
from visdiv_assets.imaging.id_index import IdIndex
from visdiv_assets.storage.arrays import RowsOf, StackedArray
from visdiv_assets.storage.lake import Lake
from visdiv_assets.vectors.join import self_join

STORED = tuple(name for name in KEEP_BY if name)
DIVERSE = ("k_center", "k_means_plus_plus")
TEXTS = ("wfpp", "metaclip")
PAIRS = ("clip_cov", "clippings")
CONTAMINATION = ("text_overlap",)
#: Methods that pick one row after the other; the others score each row.
PICKING = (*DIVERSE, "clip_cov")
#: All methods, in the order in which they are listed.
CHOICES = (*STORED, *DIVERSE, *PAIRS, *TEXTS, *CONTAMINATION)

CHOSEN_SCHEMA = pa.schema([("subset", pa.string()), ("row", pa.int64()), ("score", pa.float32())])

#: Similarity of pooled vectors from which CLIPPINGS counts two samples as near duplicates, and the partners per sample.
POOLED_CLOSE, POOLED_KEPT = 0.9, 64

#: Share of all matches that MetaCLIP's rare entries make up, as in MetaCLIP 2; it determines the threshold.
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


@dataclass(frozen=True)
class Wanted:
    """How many rows to select: exactly one of the three.

    Attributes:
        count: number of rows.
        fraction: fraction of the rows that the method can judge.
        threshold: the score from which on rows are selected, itself included.
    """

    count: int | None = None
    fraction: float | None = None
    threshold: float | None = None

    def number(self, rows: int) -> int:
        """Return the number of rows to select out of `rows`, without a threshold."""
        return min(self.count, rows) if self.count is not None else round((self.fraction or 0) * rows)


@dataclass(frozen=True)
class Chosen:
    """Selected rows.

    Attributes:
        rows: table of `CHOSEN_SCHEMA`, best first.
        tied: rows with the score of the last selected one.
        tied_chosen: how many of them are selected.
    """

    rows: pa.Table
    tied: int
    tied_chosen: int


def select_rows(lake: Lake, method: str, subsets: Sequence[str], wanted: Wanted) -> Chosen:
    """Select rows by a method, best first; of rows with equal scores at the cut, a random sample with a fixed seed.

    Args:
        lake: holds the tables of the pipeline.
        method: one of `CHOICES`.
        subsets: names of the subsets to select from; empty: all that have what the method needs.
        wanted: how many rows to select.

    Returns:
        the rows. The score of methods that pick decreases evenly from 1 in the order of the picks.

    Raises:
        InputError: the method is unknown, it cannot judge any row, or it picks rows and there is a threshold.
        StorageError: the lake lacks a table that the method needs, or has an old one.
    """
    if method in PICKING:
        if wanted.threshold is not None:
            raise InputError(f"{method} picks rows one after the other and has no threshold: give a number or fraction")
        rows, order = _pick_rows(lake, method, subsets, wanted)
        scores = scores_of_picks(order, len(rows.row))
    else:
        rows, scores = _score_rows(lake, method, subsets)
        order = order_rows(method, scores)[: _number_wanted(method, scores, wanted)]
    chosen = pa.array(order)
    table = pa.table(
        [rows.subset.take(chosen), pa.array(rows.row[order]), pa.array(scores[order], pa.float32())],
        schema=CHOSEN_SCHEMA,
    )
    if not len(order):
        return Chosen(table, 0, 0)
    last = scores[order[-1]]
    return Chosen(table, int(np.count_nonzero(scores == last)), int(np.count_nonzero(scores[order] == last)))


def describe_preference(method: str) -> str:
    """Return which scores a method keeps first, and what a high score means."""
    described = METHODS[method]
    return f"{described.keeps} scores first; a high score means: {described.high}"


def read_stored_scores(lake: Lake, subsets: Sequence[str]) -> pa.Table:
    """Read the rows of `selection_scores` of the given subsets (empty: all).

    Raises:
        NotMaterializedError: there is no such table.
        StaleError: it does not cover one of the subsets, or is older than one.
        InputError: it has no rows, since there are no CLIP vectors.
    """
    manifest = lake.manifest(LakeTable.SELECTION_SCORES, CORPUS_PARTITION)
    if manifest is None:
        raise NotMaterializedError(LakeTable.SELECTION_SCORES, CORPUS_PARTITION)
    if not manifest.rows("scores"):
        raise InputError(
            "selection_scores are empty, since there are no CLIP vectors: install CLIP weights (VISDIV_CLIP_MODEL) and "
            f"run `visdiv run --all`, or use one of {', '.join((*DIVERSE, *TEXTS))}, which need none"
        )
    if missing := [name for name in subsets if name not in manifest.facts["subsets"]]:
        advice = remedy(LakeTable.SELECTION_SCORES, CORPUS_PARTITION)
        raise StaleError(f"selection_scores do not cover {missing[0]!r}: {advice}")
    scored = subsets or [name for name in manifest.facts["subsets"] if lake.manifest(LakeTable.SUBSET_IMAGES, name)]
    require_scores_of(manifest, (lake.require(LakeTable.SUBSET_IMAGES, name) for name in scored))
    return lake.read(manifest, "scores", where=pc.field("subset").isin(pa.array(scored, pa.string())))


def first_images(lake: Lake, table: str, subsets: Sequence[str]) -> tuple[Rows, RowsOf]:
    """Return the rows with a readable image, and the vector of the first such image of each row.

    Raises:
        NotMaterializedError: a subset has no such vectors.
        ModelError: two subsets were embedded by different models.
    """
    manifests = [lake.require(table, subset) for subset in subsets]
    require_one_model(manifests)
    names: list[str] = []
    rows, indices, parts, offset = [np.empty(0, np.int64)], [np.empty(0, np.int64)], [], 0
    for manifest in manifests:
        listed = lake.read(
            lake.require(LakeTable.SUBSET_IMAGES, manifest.partition),
            columns=["row", "image_id"],
            where=pc.field("status") == "ok",
        )
        vector = IdIndex(lake.read(manifest, "ids")["image_id"]).rows(listed["image_id"])
        row = listed["row"].to_numpy()[vector >= 0]
        once, first = np.unique(row, return_index=True)
        rows.append(once)
        indices.append(vector[vector >= 0][first] + offset)
        names += [manifest.partition] * len(once)
        part = lake.array(manifest, "vectors")
        parts += part.parts
        offset += len(part)
    return Rows(pa.array(names, pa.string()), np.concatenate(rows)), RowsOf(
        StackedArray(parts), np.concatenate(indices)
    )


def _number_wanted(method: str, scores: np.ndarray, wanted: Wanted) -> int:
    if wanted.threshold is None:
        return wanted.number(len(scores))
    threshold = scores.dtype.type(wanted.threshold)
    return int(np.count_nonzero(scores >= threshold if METHODS[method].keeps == "high" else scores <= threshold))


def _score_rows(lake: Lake, method: str, subsets: Sequence[str]) -> tuple[Rows, np.ndarray]:
    """Return the rows that a method can judge, and its scores, float32 [n]."""
    if method in STORED:
        return _score_by_stored(lake, method, subsets)
    if method in TEXTS:
        return _score_by_texts(lake, method, _subsets_with(lake, LakeTable.SUBSET_TURNS, subsets))
    if method in CONTAMINATION:
        return _score_by_overlap(lake, subsets)
    if method in PAIRS:
        rows, images, texts = _first_pairs(lake, subsets)
        close = self_join(PooledPairs(images, texts), POOLED_CLOSE, k_best=POOLED_KEPT)
        return rows, nearest_earlier(len(rows.row), close)
    raise InputError(f"unknown selection method {method!r}: use one of {', '.join(CHOICES)}")


def _score_by_stored(lake: Lake, method: str, subsets: Sequence[str]) -> tuple[Rows, np.ndarray]:
    table = read_stored_scores(lake, subsets)
    scored = table.filter(pc.is_valid(table[method]))
    if not scored.num_rows:
        raise InputError(f"no row has a score by {method}, since there are too few images or no texts: use another")
    return Rows(scored["subset"].combine_chunks(), scored["row"].to_numpy()), scored[method].to_numpy()


def _pick_rows(lake: Lake, method: str, subsets: Sequence[str], wanted: Wanted) -> tuple[Rows, np.ndarray]:
    """Return the rows that a method can judge, and the indices of its picks in order."""
    if method in DIVERSE:
        rows, vectors = images_of(lake, subsets)
        diverse = cast("Literal['k_center', 'k_means_plus_plus']", method)
        return rows, select_diverse_samples(vectors, wanted.number(vectors.shape[0]), diverse)
    rows, images, texts = _first_pairs(lake, subsets)
    return rows, clip_cov(images, texts, wanted.number(len(rows.row)))


def images_of(lake: Lake, subsets: Sequence[str]) -> tuple[Rows, RowsOf]:
    """Return `first_images` of the given subsets (empty: all), by CLIP, or by SSCD if there are no CLIP vectors.

    Raises:
        StorageError: there are neither.
    """
    table = (
        LakeTable.CLIP_IMAGE_EMBEDDINGS
        if lake.partitions(LakeTable.CLIP_IMAGE_EMBEDDINGS)
        else LakeTable.SSCD_EMBEDDINGS
    )
    return first_images(lake, table, _subsets_with(lake, table, subsets))


def _subsets_with(lake: Lake, table: str, subsets: Sequence[str]) -> list[str]:
    """Return the given subsets, sorted; all that have the table if none is given."""
    names = sorted(set(subsets)) or lake.partitions(table)
    if not names:
        raise StorageError(f"{table} is not materialized for any subset: run `visdiv run --all`")
    return names


def _first_pairs(lake: Lake, subsets: Sequence[str]) -> tuple[Rows, RowsOf, RowsOf]:
    """Return the rows with an image and a text, and the CLIP vectors of the first image and text of each."""
    names = _subsets_with(lake, LakeTable.CLIP_IMAGE_EMBEDDINGS, subsets)
    rows, vectors = first_images(lake, LakeTable.CLIP_IMAGE_EMBEDDINGS, names)
    texts, has_text = _first_texts(lake, rows, names)
    kept = np.flatnonzero(has_text)
    rows = Rows(rows.subset.take(pa.array(kept)), rows.row[kept])
    return rows, RowsOf(vectors, kept), RowsOf(texts, kept)


def _score_by_overlap(lake: Lake, subsets: Sequence[str]) -> tuple[Rows, np.ndarray]:
    """Return all rows, and the largest share of one of their texts that occurs in a benchmark; 0 if none does."""
    names = _subsets_with(lake, LakeTable.TEXT_CONTAMINATION, subsets)
    scores: list[np.ndarray] = []
    for name in names:
        turns = current_turns(lake, name)
        overlaps = require_made_from(lake.require(LakeTable.TEXT_CONTAMINATION, name), turns)
        found = lake.read(overlaps, "overlaps", columns=["row", "share"])
        score = np.zeros(turns.rows("rows"), np.float32)
        np.maximum.at(score, found["row"].to_numpy(), found["share"].to_numpy())
        scores.append(score)
    return _all_rows(names, [len(score) for score in scores]), np.concatenate(scores)


def _all_rows(subsets: Sequence[str], sizes: Sequence[int]) -> Rows:
    names = pa.array(np.repeat(np.array(subsets, object), sizes), pa.string())
    return Rows(names, np.concatenate([np.arange(size) for size in sizes]))


def _first_texts(lake: Lake, rows: Rows, subsets: Sequence[str]) -> tuple[RowsOf, np.ndarray]:
    """Return the vector of each row's first text, and a mask of the rows that have one, bool [n]."""
    indices = np.zeros(len(rows.row), np.int64)
    has_text = np.zeros(len(rows.row), bool)
    parts: list[np.ndarray] = []
    offset = 0
    names = rows.subset.to_numpy(zero_copy_only=False)
    for subset in subsets:
        manifest = lake.require(LakeTable.CLIP_TEXT_EMBEDDINGS, subset)
        turns = lake.read(manifest, "turns", columns=["row", "text_id"], where=pc.field("text_id").is_valid())
        text = IdIndex(lake.read(manifest, "texts", columns=["text_id"])["text_id"]).rows(turns["text_id"])
        first_row, first = np.unique(turns["row"].to_numpy(), return_index=True)
        in_subset = np.flatnonzero(names == subset)
        turn = np.searchsorted(first_row, rows.row[in_subset])
        turn = np.minimum(turn, max(len(first_row) - 1, 0))
        found = first_row[turn] == rows.row[in_subset] if len(first_row) else np.zeros(len(in_subset), bool)
        indices[in_subset[found]] = text[first[turn[found]]] + offset
        has_text[in_subset[found]] = True
        part = lake.array(manifest, "vectors")
        parts += part.parts
        offset += len(part)
    return RowsOf(StackedArray(parts), indices), has_text


class _RowTexts:
    """The texts of all rows of some subsets, one Arrow array at a time; every iteration reads the files again."""

    def __init__(self, shards: Sequence[ShardTurns]) -> None:
        self._shards = shards

    def __iter__(self) -> Iterator[pa.Array]:
        for shard in self._shards:
            for batch in shard.batches(["texts"]):
                yield joined_texts(batch)


def _score_by_texts(lake: Lake, method: str, subsets: Sequence[str]) -> tuple[Rows, np.ndarray]:
    shards = {name: stored_turns(lake, current_turns(lake, name)) for name in subsets}
    texts = _RowTexts([shard for of_subset in shards.values() for shard in of_subset])
    if method == "wfpp":
        scores = wfpp(texts, count_words(texts))
    else:
        entries = corpus_entries(texts)
        if not entries:
            raise InputError("no word of the texts is frequent enough to balance by: use another method than metaclip")
        matcher = EntryMatcher(entries)
        counts = matcher.counts(texts)
        scores = draw_scores(matcher.keep_probabilities(texts, counts, threshold_of_tail(counts, TAIL_SHARE)))
    sizes = [sum(shard.rows for shard in of_subset) for of_subset in shards.values()]
    return _all_rows(subsets, sizes), scores
