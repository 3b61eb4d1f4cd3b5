"""The turns of a shard as questions to a judge, each with the hash of all that its answer depends on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import pyarrow.compute as pc

from visdiv_assets.corpus.turns import ShardTurns
from visdiv_assets.curation.judge.images import MAX_IMAGES
from visdiv_assets.curation.judge.injection import suspicious_phrase
from visdiv_assets.curation.judge.profiles import ANSWER, CAPTION, IMAGE, QUESTION, Criterion, Profile
from visdiv_assets.curation.quality import is_rating
from visdiv_assets.imaging.limits import Decoding, decoding_settings
from visdiv_assets.ingest.turns import RATING_COLUMNS
from visdiv_assets.sources.conform import positions_of_entries
from visdiv_assets.storage.lake import Lake
from visdiv_assets.storage.manifest import Manifest

#: Maximum characters of a text that is sent; a turn with a longer one is not rated.
MAX_CHARACTERS = 20_000

#: Why a rating is not asked for that the source has.
FROM_SOURCE = "rated by the source"


class Task(NamedTuple):
    """A question to the judge.

    Attributes:
        turn: index of the turn in its batch.
        criterion: what is rated.
        key: SHA-256 of the prompts, the model, the texts, and the images and their decoding, 32 bytes.
        texts: names and texts that the judge is shown.
        images: image_ids of the images that it is shown.
    """

    turn: int
    criterion: Criterion
    key: bytes
    texts: tuple[tuple[str, str], ...]
    images: tuple[str, ...]


@dataclass
class TurnBatch:
    """Some turns in order, and what to ask about them.

    Attributes:
        row_count: number of rows, those without turns included.
        rows: row of each turn, int64 [n].
        turns: index of each turn in its row, int32 [n].
        suspicious: for each turn the passage of its texts that speaks to a judge, or None.
        tasks: what to ask.
        reasons: why there is nothing to ask, by turn of the batch and criterion.
    """

    row_count: int
    rows: np.ndarray
    turns: np.ndarray
    suspicious: list[str | None] = field(default_factory=list)
    tasks: list[Task] = field(default_factory=list)
    reasons: dict[tuple[int, str], str] = field(default_factory=dict)


class RowImages:
    """The images of the rows of a shard.

    Attributes:
        decoding: how they are decoded.
    """

    def __init__(self, lake: Lake, images: Manifest, shard: ShardTurns, decoding: Decoding) -> None:
        """Read the list.

        Args:
            lake: where it lies.
            images: manifest of `subset_images`.
            shard: whose rows count.
            decoding: how images are decoded before the judge sees them.
        """
        self.decoding: Decoding = decoding
        row = pc.field("row")
        of_shard = (row >= shard.first_row) & (row < shard.first_row + shard.rows)
        listed = lake.read(images, columns=["row", "image_index", "image_id", "status"], where=of_shard)
        listed = listed.sort_by([("row", "ascending"), ("image_index", "ascending")])
        self._rows = listed["row"].to_numpy()
        self._ids, self._ok = listed["image_id"], pc.equal(listed["status"], "ok")

    def of(self, row: int) -> tuple[tuple[str, ...], str]:
        """Return the image_ids of a row's images and, if the row cannot be rated by them, why."""
        start, stop = np.searchsorted(self._rows, [row, row + 1]).tolist()
        if start == stop:
            return (), "no image"
        if stop - start > MAX_IMAGES:
            return (), f"more than {MAX_IMAGES} images"
        if not pc.all(self._ok.slice(start, stop - start)).as_py():
            return (), "image not readable"
        return tuple(self._ids.slice(start, stop - start).to_pylist()), ""


def turn_batches(
    shard: ShardTurns, images: RowImages, profile: Profile, model: str, *, source_first: bool
) -> Iterator[TurnBatch]:
    """Yield the turns of a shard with what to ask about them.

    Args:
        shard: the shard.
        images: of its rows.
        profile: the criteria.
        model: the judge's name.
        source_first: whether to ask only for ratings that the source lacks.
    """
    columns = [name for name in RATING_COLUMNS if name.removesuffix("_ratings") in {c.name for c in profile.criteria}]
    first = shard.first_row
    for batch in shard.batches(["turns", "texts", *columns]):
        rows, turns = positions_of_entries(batch["turns"])
        rows += first
        found = TurnBatch(batch.num_rows, rows, turns.astype(np.int32))
        given = {name.removesuffix("_ratings"): is_rating(batch[name].flatten()) for name in columns}
        texts = batch["texts"].flatten()
        pairs = zip(texts.field("user").to_pylist(), texts.field("assistant").to_pylist(), strict=True)
        for turn, (question, answer) in enumerate(pairs):
            lacking = [c for c in profile.criteria if not (source_first and c.name in given and given[c.name][turn])]
            asked = {criterion.name for criterion in lacking}
            found.reasons |= {(turn, c.name): FROM_SOURCE for c in profile.criteria if c.name not in asked}
            found.suspicious.append(suspicious_phrase(question, answer))
            _add_tasks(found, turn, lacking, (question, answer), images, (profile.version, model))
        yield found
        first += batch.num_rows


def _add_tasks(
    batch: TurnBatch,
    turn: int,
    criteria: Sequence[Criterion],
    texts: tuple[str | None, str | None],
    images: RowImages,
    asked: tuple[str, str],
) -> None:
    """Add what to ask about one turn, or why it is not asked."""
    named = {QUESTION: texts[0], ANSWER: texts[1], CAPTION: texts[1]}
    ids, no_images = images.of(int(batch.rows[turn])) if any(IMAGE in c.sees for c in criteria) else ((), "")
    # A question about a row without images cannot depend on them: FineVision has no rating there.
    has_none = not ids and no_images == "no image"
    for criterion in criteria:
        reason = _reason_not_to_ask(criterion, named, no_images if IMAGE in criterion.sees else "")
        if not reason and has_none and criterion.name == "visual_dependency":
            reason = no_images
        if reason:
            batch.reasons[turn, criterion.name] = reason
            continue
        shown = tuple((name, str(named[name])) for name in criterion.sees if name != IMAGE)
        of_images = ids if IMAGE in criterion.sees else ()
        content = [*asked, criterion.name, shown, of_images]
        if of_images:
            content += decoding_settings(images.decoding).values()
        key = hashlib.sha256(json.dumps(content).encode("ascii")).digest()
        batch.tasks.append(Task(turn, criterion, key, shown, of_images))


def _reason_not_to_ask(criterion: Criterion, texts: Mapping[str, str | None], no_images: str) -> str:
    for name in criterion.sees:
        if name == IMAGE:
            continue
        text = texts[name]
        if not text or not text.strip():
            return f"no {name}"
        if len(text) > MAX_CHARACTERS:
            return f"{name} too long"
    return no_images
