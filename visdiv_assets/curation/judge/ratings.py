"""The ratings of a judge as the lake stores them, a row for each turn, and how they fill the gaps of the source's."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Literal, get_args

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from visdiv_assets.corpus.image_fetch import ImageFetcher
from visdiv_assets.corpus.tables import LakeTable
from visdiv_assets.curation.judge.asking import Judge
from visdiv_assets.curation.judge.endpoint import Failure
from visdiv_assets.curation.judge.profiles import MLM_SCORES, Profile
from visdiv_assets.curation.judge.protocol import Reply
from visdiv_assets.curation.judge.tasks import TurnBatch
from visdiv_assets.curation.quality import is_rating
from visdiv_assets.errors import ConfigError
from visdiv_assets.progress import Progress
from visdiv_assets.sources.schema import CRITERIA
from visdiv_assets.storage.lake import Lake
from visdiv_assets.storage.manifest import Manifest

#: Whose ratings count.
RatingsFrom = Literal["source_then_judge", "source", "judge"]

#: What is told of a flag that the judge has raised.
IN_IMAGE = "the judge saw it in an image"

#: A turn; ratings are null where `reason` says why.
JUDGE_SCHEMA = pa.schema(
    [
        ("row", pa.int64()),
        ("turn", pa.int32()),
        *((name, pa.int8()) for name in (*CRITERIA, *MLM_SCORES)),
        ("reason", pa.string()),
        ("unanswered", pa.bool_()),
        ("suspected_injection", pa.bool_()),
        ("injection", pa.string()),
        ("profile", pa.string()),
        ("model", pa.string()),
        ("prompts", pa.string()),
    ]
)


def rate_batches(
    batches: Iterable[TurnBatch],
    judge: Judge,
    images: ImageFetcher,
    profile: Profile,
    model: str,
    *,
    progress: Progress,
) -> Iterator[pa.RecordBatch]:
    """Ask about the turns of a shard.

    Args:
        batches: the turns in order.
        judge: who is asked.
        images: where images come from.
        profile: the criteria.
        model: the judge's name.
        progress: is told the number of rows of each batch.

    Yields:
        batches of `JUDGE_SCHEMA`, a row for each turn in order.
    """
    for batch in batches:
        known, unknown = judge.unknown(batch.tasks)
        results: dict[bytes, Reply | Failure] = dict(known)
        ids = dict.fromkeys(image for task in unknown for image in task.images)
        for task, result in judge.ask(unknown, images.in_order(list(ids))):
            results[task.key] = result
        yield _table(batch, results, profile, model)
        progress(batch.row_count)


def as_ratings_from(name: str) -> RatingsFrom:
    """Return the value of the setting `ratings_from`.

    Raises:
        ConfigError: there is no such value.
    """
    for known in get_args(RatingsFrom):
        if name == known:
            return known  # type: ignore[no-any-return]
    raise ConfigError(f"{name!r} is not an origin of ratings: use one of {', '.join(get_args(RatingsFrom))}")


def with_judge(
    batches: Iterable[pa.RecordBatch], judged: pa.Table | None, which: RatingsFrom
) -> Iterator[pa.RecordBatch]:
    """Yield rows of turns with the ratings that count.

    Args:
        batches: the rows of a shard in order, with columns such as `relevance_ratings`; see `corpus.turns`.
        judged: the judge's ratings of the turns of the shard, in order, with the columns `CRITERIA`; None if there are
            none.
        which: whose ratings count.
    """
    first = 0
    for batch in batches:
        turns = int(pc.sum(pc.fill_null(batch["turns"], 0)).as_py() or 0)
        part = judged.slice(first, turns) if judged is not None else None
        first += turns
        for criterion in CRITERIA:
            index = batch.schema.get_field_index(f"{criterion}_ratings")
            lists = batch.column(index)
            merged = merge_ratings(lists.flatten(), part[criterion] if part is not None else None, which)
            lengths = pc.fill_null(lists.value_lengths(), 0).to_numpy(zero_copy_only=False)
            offsets = pa.array(np.concatenate([[0], np.cumsum(lengths)]), pa.int32())
            batch = batch.set_column(index, batch.schema.field(index), pa.ListArray.from_arrays(offsets, merged))
        yield batch


def merge_ratings(source: pa.Array, judged: pa.ChunkedArray | None, which: RatingsFrom) -> pa.Array:
    """Return the ratings of turns that count, of the type of the source's.

    Args:
        source: the source's, null or out of range without.
        judged: the judge's of the same turns; None if there are none.
        which: whose count.
    """
    others = judged.combine_chunks().cast(source.type) if judged is not None else pa.nulls(len(source), source.type)
    if which == "judge":
        return others
    if which == "source" or judged is None:
        return source
    return pc.if_else(pa.array(is_rating(source)), source, others)


def judged_units(lake: Lake, turns: Manifest) -> tuple[Manifest | None, dict[str, Manifest]]:
    """Return FineVision's ratings by a judge of the present turns of a subset, and the same of each rated shard.

    Args:
        lake: where they lie.
        turns: manifest of `subset_turns`.

    Returns:
        None and nothing if the subset was not rated, or its turns have changed since, or by another profile.
    """
    judged = lake.manifest(LakeTable.JUDGE_RATINGS, turns.partition)
    if judged is None or judged.inputs.get(turns.table) != turns.digest or judged.settings["profile"] != "finevision":
        return None, {}
    return judged, {unit.name: replace(judged, units=(unit,)) for unit in judged.units}


def count_ratings(batches: Iterable[pa.RecordBatch]) -> dict[str, int]:
    """Return the number of turns, of those with a rating by the judge, and of those that seem to address a judge."""
    counts = {"turns": 0, "turns_rated": 0, "turns_suspected": 0}
    for batch in batches:
        rated = np.zeros(batch.num_rows, bool)
        for name in (*CRITERIA, *MLM_SCORES):
            rated |= pc.is_valid(batch[name]).to_numpy(zero_copy_only=False)
        counts["turns"] += batch.num_rows
        counts["turns_rated"] += int(rated.sum())
        counts["turns_suspected"] += batch["suspected_injection"].true_count
    return counts


def _table(batch: TurnBatch, results: dict[bytes, Reply | Failure], profile: Profile, model: str) -> pa.RecordBatch:
    size = len(batch.rows)
    names = [criterion.name for criterion in profile.criteria]
    ratings: dict[str, list[int | None]] = {name: [None] * size for name in names}
    reasons: list[dict[str, str]] = [{} for _ in range(size)]
    injections = list(batch.suspicious)
    unanswered = [False] * size
    for (turn, name), reason in batch.reasons.items():
        reasons[turn][name] = reason
    for task in batch.tasks:
        result = results[task.key]
        if isinstance(result, Failure):
            reasons[task.turn][task.criterion.name] = result.reason
            unanswered[task.turn] = True
            continue
        ratings[task.criterion.name][task.turn] = result.rating
        if result.addressed:
            injections[task.turn] = injections[task.turn] or IN_IMAGE
    columns: dict[str, object] = {
        "row": batch.rows,
        "turn": batch.turns,
        "reason": [_reason(names, of_turn) for of_turn in reasons],
        "unanswered": unanswered,
        "suspected_injection": [phrase is not None for phrase in injections],
        "injection": injections,
        "profile": [profile.name] * size,
        "model": [model] * size,
        "prompts": [profile.version] * size,
        **ratings,
    }
    arrays = [pa.array(columns.get(kind.name, [None] * size), kind.type) for kind in JUDGE_SCHEMA]
    return pa.record_batch(arrays, schema=JUDGE_SCHEMA)


def _reason(names: Sequence[str], reasons: dict[str, str]) -> str | None:
    """Return why ratings are missing: one reason if it is that of all criteria, else with the criteria's names."""
    different = set(reasons.values())
    if len(reasons) == len(names) and len(different) == 1:
        return different.pop()
    return "; ".join(f"{name}: {reasons[name]}" for name in names if name in reasons) or None
