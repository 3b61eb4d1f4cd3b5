"""Selection of rows by a method, for `visdiv select`.

Scores that need only CLIP vectors are stored (`selection_scores`); the other methods are computed on request. Methods
that pick images use the first readable image of each row, and methods that read texts use all texts of a row, joined.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from visdiv_assets.corpus.access import current_embeddings, current_turns, require_made_from
from visdiv_assets.corpus.tables import CORPUS_PARTITION, LakeTable, remedy
from visdiv_assets.curation.reasons import KEEP_BY
from visdiv_assets.curation.selection import select_diverse_samples
from visdiv_assets.curation.selection.clip_cov import clip_cov, zero_shot_classes
from visdiv_assets.curation.selection.clippings import PooledPairs, nearest_earlier
from visdiv_assets.curation.selection.metaclip import draw_scores, threshold_of_tail
from visdiv_assets.curation.selection.methods import METHODS, order_rows, scores_of_picks
from visdiv_assets.curation.selection.number_masked import number_masked_scores
from visdiv_assets.curation.selection.options import TAIL_SHARE, Options, TextModels, read_lines
from visdiv_assets.curation.selection.row_texts import JoinedTexts, concept_matcher, texts_of
from visdiv_assets.curation.selection.row_vectors import Rows, first_pairs, images_of, subsets_with
from visdiv_assets.curation.selection.semdedup import semdedup
from visdiv_assets.curation.selection.stored_scores import require_scores_of
from visdiv_assets.curation.selection.wfpp import count_words, wfpp
from visdiv_assets.errors import InputError, NotMaterializedError, StaleError
from visdiv_assets.storage.lake import Lake
from visdiv_assets.vectors.join import self_join
from visdiv_assets.vectors.kmeans import k_means

STORED = tuple(name for name in KEEP_BY if name)
DIVERSE = ("k_center", "k_means_plus_plus")
TEXTS = ("wfpp", "metaclip")
PAIRS = ("clip_cov", "clippings")
#: Methods that embed texts again, and need CLIP weights.
MODELS = ("number_masked",)
CONTAMINATION = ("text_overlap",)
#: Methods that pick one row after the other; the others score each row.
PICKING = (*DIVERSE, "clip_cov")
#: All methods, in the order in which they are listed.
CHOICES = (*STORED, *MODELS, *DIVERSE, *PAIRS, *TEXTS, *CONTAMINATION)

CHOSEN_SCHEMA = pa.schema([("subset", pa.string()), ("row", pa.int64()), ("score", pa.float32())])

#: Similarity of pooled vectors from which CLIPPINGS counts two samples as near duplicates, and the partners per sample.
POOLED_CLOSE, POOLED_KEPT = 0.9, 64


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


def select_rows(
    lake: Lake,
    method: str,
    subsets: Sequence[str],
    wanted: Wanted,
    options: Options | None = None,
    models: TextModels | None = None,
) -> Chosen:
    """Select rows by a method, best first; of rows with equal scores at the cut, a random sample with a fixed seed.

    Args:
        lake: holds the tables of the pipeline.
        method: one of `CHOICES`.
        subsets: names of the subsets to select from; empty: all that have what the method needs.
        wanted: how many rows to select; with SemDeDup's epsilon none is needed.
        options: of the method.
        models: embed texts, for number_masked and for ClipCov's classes.

    Returns:
        the rows. The score of methods that pick decreases evenly from 1 in the order of the picks.

    Raises:
        InputError: the method is unknown, it cannot judge any row or has no such option, or it picks rows and there is
            a threshold.
        StorageError: the lake lacks a table that the method needs, or has an old one.
    """
    options = options or Options()
    options.require_used(method)
    if method in PICKING:
        if wanted.threshold is not None:
            raise InputError(f"{method} picks rows one after the other and has no threshold: give a number or fraction")
        rows, order = _pick_rows(lake, method, subsets, wanted, options, models)
        scores = scores_of_picks(order, len(rows.row))
    else:
        if options.epsilon is not None:
            wanted = Wanted(threshold=1 - options.epsilon)
        rows, scores = _score_rows(lake, method, subsets, options, models)
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


def _number_wanted(method: str, scores: np.ndarray, wanted: Wanted) -> int:
    if wanted.threshold is None:
        return wanted.number(len(scores))
    threshold = scores.dtype.type(wanted.threshold)
    return int(np.count_nonzero(scores >= threshold if METHODS[method].keeps == "high" else scores <= threshold))


def _score_rows(
    lake: Lake, method: str, subsets: Sequence[str], options: Options, models: TextModels | None
) -> tuple[Rows, np.ndarray]:
    """Return the rows that a method can judge, and its scores, float32 [n]."""
    if method == "semdedup" and (options.clusters is not None or options.seed is not None):
        # The stored scores are those of the defaults.
        rows, images = images_of(lake, subsets)
        return rows, semdedup(images, clusters=options.clusters, seed=options.seed or 0).score
    if method in STORED:
        return _score_by_stored(lake, method, subsets)
    if method in TEXTS:
        return _score_by_texts(lake, method, subsets, options)
    if method in MODELS:
        return _score_by_masked_texts(lake, subsets, models)
    if method in CONTAMINATION:
        return _score_by_overlap(lake, subsets)
    if method in PAIRS:
        rows, images, texts = first_pairs(lake, subsets)
        close = self_join(PooledPairs(images, texts), POOLED_CLOSE, k_best=POOLED_KEPT)
        return rows, nearest_earlier(len(rows.row), close)
    raise InputError(f"unknown selection method {method!r}: use one of {', '.join(CHOICES)}")


def _score_by_stored(lake: Lake, method: str, subsets: Sequence[str]) -> tuple[Rows, np.ndarray]:
    table = read_stored_scores(lake, subsets)
    scored = table.filter(pc.is_valid(table[method]))
    if not scored.num_rows:
        raise InputError(f"no row has a score by {method}, since there are too few images or no texts: use another")
    return Rows(scored["subset"].combine_chunks(), scored["row"].to_numpy()), scored[method].to_numpy()


def _pick_rows(
    lake: Lake, method: str, subsets: Sequence[str], wanted: Wanted, options: Options, models: TextModels | None
) -> tuple[Rows, np.ndarray]:
    """Return the rows that a method can judge, and the indices of its picks in order."""
    seed = options.seed or 0
    if method in DIVERSE:
        rows, vectors = images_of(lake, subsets)
        diverse = cast("Literal['k_center', 'k_means_plus_plus']", method)
        return rows, select_diverse_samples(vectors, wanted.number(vectors.shape[0]), diverse, seed)
    rows, images, texts = first_pairs(lake, subsets)
    number = wanted.number(len(rows.row))
    if options.classes:
        names = _embed_names(read_lines(options.classes, "class"), models)
        labels, cosines = zero_shot_classes(images, texts, names)
        return rows, clip_cov(images, texts, number, labels=labels, names=cosines)
    clusters = k_means(images, options.clusters, seed=seed).cluster if options.clusters else None
    return rows, clip_cov(images, texts, number, labels=clusters, seed=seed)


def _embed_names(names: Sequence[str], models: TextModels | None) -> np.ndarray:
    """Return the vectors of the names of classes, float32 [c, d]."""
    return _require(models).prompts().embed([f"a photo of a {name}" for name in names]).vectors


def _require(models: TextModels | None) -> TextModels:
    if models is None:
        raise InputError("this needs CLIP's text tower: set VISDIV_CLIP_MODEL")
    return models


def _score_by_masked_texts(lake: Lake, subsets: Sequence[str], models: TextModels | None) -> tuple[Rows, np.ndarray]:
    """Return the rows with an image and a text of more than numbers, and the CLIPScore of their masked texts."""
    names = subsets_with(lake, LakeTable.CLIP_TEXT_EMBEDDINGS, subsets)
    embedder = _require(models).turns()
    scores = []
    for name in names:
        listed = lake.require(LakeTable.SUBSET_IMAGES, name)
        of_images, of_texts = (
            current_embeddings(lake, listed, table)
            for table in (LakeTable.CLIP_IMAGE_EMBEDDINGS, LakeTable.CLIP_TEXT_EMBEDDINGS)
        )
        scores.append(number_masked_scores(lake, listed, current_turns(lake, name), of_images, of_texts, embedder))
    joined = np.concatenate(scores)
    scored = np.flatnonzero(~np.isnan(joined))
    if not len(scored):
        raise InputError("no row has an image and a text of more than numbers: use another method than number_masked")
    return Rows.all_of(names, [len(each) for each in scores]).take(scored), joined[scored]


def _score_by_overlap(lake: Lake, subsets: Sequence[str]) -> tuple[Rows, np.ndarray]:
    """Return all rows, and the largest share of one of their texts that occurs in a benchmark; 0 if none does."""
    names = subsets_with(lake, LakeTable.TEXT_CONTAMINATION, subsets)
    scores: list[np.ndarray] = []
    for name in names:
        turns = current_turns(lake, name)
        overlaps = require_made_from(lake.require(LakeTable.TEXT_CONTAMINATION, name), turns)
        found = lake.read(overlaps, "overlaps", columns=["row", "share"])
        score = np.zeros(turns.rows("rows"), np.float32)
        np.maximum.at(score, found["row"].to_numpy(), found["share"].to_numpy())
        scores.append(score)
    return Rows.all_of(names, [len(score) for score in scores]), np.concatenate(scores)


def _score_by_texts(lake: Lake, method: str, subsets: Sequence[str], options: Options) -> tuple[Rows, np.ndarray]:
    parts = texts_of(lake, subsets)
    texts = JoinedTexts(list(parts.values()))
    if method == "wfpp":
        scores = wfpp(texts, count_words(texts))
    else:
        matcher = concept_matcher(options.concepts, list(parts.values()))
        counts = matcher.counts(texts)
        threshold = threshold_of_tail(counts, TAIL_SHARE if options.tail_share is None else options.tail_share)
        scores = draw_scores(matcher.keep_probabilities(texts, counts, threshold), options.seed or 0)
    return Rows.all_of(list(parts), [part.rows for part in parts.values()]), scores
