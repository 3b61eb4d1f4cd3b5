"""Decisions of people on pairs of images, which override the verdicts of verification.

They are lines of JSON in a file that is only appended to, each for one pair:

    {"image_id_a": "0a...", "image_id_b": "3f...", "decision": "wrong", "decided_at": "2026-05-04T09:30:00+02:00",
     "decided_by": "kim", "kind": "duplicates", "subset_a": "charts", "row_a": 17, "image_index_a": 0,
     "subset_b": "charts", "row_b": 203, "image_index_b": 0, "verdict": "confirmed", "similarity": 0.97,
     "sampled": false}

The latest decision on a pair counts, of equal times the last line. A decision is about two images, named by their
bytes: it holds at all of their positions, and still holds when rows or files are added.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
from contextlib import suppress
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import AwareDatetime, ConfigDict, Field, TypeAdapter, ValidationError, model_validator
from pydantic.dataclasses import dataclass

from visdiv_assets.errors import InputError, StorageError
from visdiv_assets.storage.error_messages import read_error, write_error
from visdiv_assets.storage.put_in_place import sync_folder

logger = logging.getLogger(__name__)

#: The two images of a pair are copies; they are not; the verdict of verification counts.
RIGHT, WRONG, UNSURE = "right", "wrong", "unsure"
#: The person takes back what was said of the pair.
WITHDRAWN = "withdrawn"

#: Columns of `Decisions.table`: the fields of a `Decision`. Where a pair was seen is for people only.
DECISIONS_SCHEMA = pa.schema(
    [
        ("image_id_a", pa.string()),
        ("image_id_b", pa.string()),
        ("decision", pa.string()),
        ("decided_at", pa.timestamp("us", tz="UTC")),
        ("decided_by", pa.string()),
        ("kind", pa.string()),
        ("subset_a", pa.string()),
        ("row_a", pa.int64()),
        ("image_index_a", pa.int32()),
        ("subset_b", pa.string()),
        ("row_b", pa.int64()),
        ("image_index_b", pa.int32()),
        ("verdict", pa.string()),
        ("similarity", pa.float32()),
        ("sampled", pa.bool_()),
    ]
)

Column: TypeAlias = pa.Array | pa.ChunkedArray

#: Maximum characters of the name of a person, subset or benchmark.
MAX_NAME = 1000

#: Maximum bytes of a line.
MAX_LINE_BYTES = 64 << 10

_ID = Field(pattern=r"^[0-9a-f]{32}$")
_ROW = Field(default=None, ge=0, lt=2**63)
_INDEX = Field(default=None, ge=0, lt=2**31)
_NAME = Field(default=None, max_length=MAX_NAME)


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="ignore"))
class Decision:
    """A person's decision on a pair of images.

    Attributes:
        image_id_a: the lower of the two image_ids.
        image_id_b: the other one; equal only for an image of a subset and the same bytes in a benchmark.
        decision: whether one image is a copy of the other; `unsure` leaves it to verification, and `withdrawn` takes an
            earlier decision back.
        decided_at: when, with time zone.
        decided_by: who; None if that is not known.
        kind: whether the pair was shown as a duplicate, or as an image of a benchmark in a subset.
        subset_a: subset, or benchmark, in which the first image was shown; None if that is not known.
        row_a: its row there.
        image_index_a: its index in the row.
        subset_b: as `subset_a`, of the second image.
        row_b: its row there.
        image_index_b: its index in the row.
        verdict: the verdict of verification that was shown; None if the pair was not compared.
        similarity: cosine similarity of the SSCD vectors that was shown.
        sampled: whether the pair was shown as part of the random sample that precision is estimated from.
    """

    image_id_a: str = _ID
    image_id_b: str = _ID
    decision: Literal["right", "wrong", "unsure", "withdrawn"]
    decided_at: AwareDatetime
    decided_by: str | None = _NAME
    kind: Literal["duplicates", "contamination"]
    subset_a: str | None = _NAME
    row_a: int | None = _ROW
    image_index_a: int | None = _INDEX
    subset_b: str | None = _NAME
    row_b: int | None = _ROW
    image_index_b: int | None = _INDEX
    verdict: Literal["confirmed", "rejected", "undecided"] | None = None
    similarity: float | None = Field(default=None, allow_inf_nan=False)
    sampled: bool = Field(default=False, strict=True)

    @model_validator(mode="after")
    def _check_order(self) -> Decision:
        if self.image_id_a > self.image_id_b:
            raise ValueError("image_id_a must be less than image_id_b")
        if self.image_id_a == self.image_id_b and self.kind != "contamination":
            raise ValueError("image_id_a and image_id_b are the same image")
        return self

    def to_json(self) -> str:
        """Return the decision as one line of JSON, without the line break."""
        return json.dumps({**asdict(self), "decided_at": self.decided_at.isoformat()}, ensure_ascii=False)


_DECISION = TypeAdapter(Decision)


def parse_decision(text: str | bytes) -> Decision:
    """Return the decision that a line of JSON describes.

    Raises:
        InputError: it is not one, with the reason.
    """
    try:
        return _DECISION.validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        reason = first["msg"].removeprefix("Value error, ")
        raise InputError(f"{where}: {reason}" if where else reason) from None


class Decisions:
    """The decisions that count: the latest one of each pair.

    Attributes:
        table: table of `DECISIONS_SCHEMA`, sorted by the two image_ids; `sampled` is true if any decision on the pair
            was, since one was taken back. Pairs whose last decision is `unsure` are listed, but change nothing.
    """

    def __init__(self, table: pa.Table | None = None) -> None:
        """Hold decisions.

        Args:
            table: table of `DECISIONS_SCHEMA`, each pair once, sorted; None for no decisions.
        """
        self.table: pa.Table = (DECISIONS_SCHEMA.empty_table() if table is None else table).combine_chunks()

    @cached_property
    def effective(self) -> pa.Table:
        """The rows of `table` that change something: those decided right or wrong."""
        return self.table.filter(pc.not_equal(self.table["decision"], UNSURE)).combine_chunks()

    @property
    def image_ids(self) -> pa.Array:
        """The images of decisions that change something: string, each once."""
        return pc.unique(pa.concat_arrays([_as_array(self.effective[name]) for name in ("image_id_a", "image_id_b")]))


def read_decisions(path: str | Path) -> Decisions:
    """Read the decisions that count; there are none if the file does not exist.

    A last line that was cut off, because its writer was killed, does not count: its writer never reported success.

    Raises:
        StorageError: the file cannot be read, or a line of it is not a decision.
    """
    lines = _read_lines(Path(path))
    last: dict[tuple[str, str], dict[str, Any]] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            decision = parse_decision(line)
        except InputError as error:
            raise StorageError(
                f"{path}, line {number} is not a decision on a pair ({error}): correct or remove the line"
            ) from None
        pair = decision.image_id_a, decision.image_id_b
        before = last.get(pair)
        if before is not None and decision.decided_at < before["decided_at"]:
            continue
        sampled = decision.sampled or (before is not None and before["decision"] != WITHDRAWN and before["sampled"])
        last[pair] = {**asdict(decision), "sampled": sampled}
    counting = [last[pair] for pair in sorted(last) if last[pair]["decision"] != WITHDRAWN]
    return Decisions(pa.Table.from_pylist(counting, schema=DECISIONS_SCHEMA))


def append_decision(path: str | Path, decision: Decision) -> None:
    """Append a decision to a file, which is created if it does not exist.

    When the function returns, the line is on the disk. Several processes may append at the same time. What a killed
    writer left of a line is removed.

    Raises:
        StorageError: the file cannot be written; it is as it was.
    """
    path = Path(path)
    line = decision.to_json().encode() + b"\n"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        created = not path.exists()
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
        try:
            with suppress(OSError):
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            size, ended = _whole_lines(descriptor)
            os.ftruncate(descriptor, size)
            try:
                _write_all(descriptor, line if ended else b"\n" + line)
            except OSError:
                os.ftruncate(descriptor, size)
                raise
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if created:
            sync_folder(path.parent)
    except OSError as error:
        raise write_error(str(path), error) from error


def look_up(a: Column, b: Column, known_a: Column, known_b: Column, values: Column) -> pa.ChunkedArray:
    """Return the value of each pair, null for pairs without one; pairs are equal in either order.

    Args:
        a: string [n], image_ids.
        b: string [n], image_ids of the other images.
        known_a: string [m], image_ids of pairs with a value, which are few.
        known_b: string [m].
        values: [m].
    """
    ids = pc.unique(pa.concat_arrays([_as_array(known_a), _as_array(known_b)]))
    # Keys are made of the few pairs only that may have a value.
    maybe = pc.and_(pc.is_in(a, ids), pc.is_in(b, ids))
    index = pc.indices_nonzero(maybe)
    row = pc.index_in(_pair_keys(pc.take(a, index), pc.take(b, index)), _as_array(_pair_keys(known_a, known_b)))
    found = _as_array(pc.take(values, row))
    place = pc.if_else(maybe, pc.subtract(pc.cumulative_sum(pc.cast(maybe, pa.int64())), 1), None)
    return pa.chunked_array([pc.take(found, _as_array(place))], found.type)


def _read_lines(path: Path) -> list[bytes]:
    try:
        with path.open("rb") as stream:
            # A writer holds the lock while a line is incomplete. File systems without locks have one writer at most.
            with suppress(OSError):
                fcntl.flock(stream, fcntl.LOCK_SH)
            *lines, rest = stream.read().split(b"\n")
    except FileNotFoundError:
        return []
    except OSError as error:
        raise read_error(str(path), error) from error
    if rest.strip() and not _is_complete(rest):
        logger.warning("%s ends with a line that was cut off: it does not count", path)
        return lines
    return [*lines, rest]


def _whole_lines(descriptor: int) -> tuple[int, bool]:
    """Return the size of a file without a last line that was cut off, and whether it ends with a line break."""
    size = os.fstat(descriptor).st_size
    end = os.pread(descriptor, MAX_LINE_BYTES, max(size - MAX_LINE_BYTES, 0))
    rest = end.rpartition(b"\n")[2]
    if not rest:
        return size, True
    return (size, False) if _is_complete(rest) else (size - len(rest), True)


def _is_complete(line: bytes) -> bool:
    """Return whether a line without a line break is JSON, as a person may leave it who edits the file."""
    try:
        json.loads(line)
    except ValueError:
        return False
    return True


def _write_all(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


def _pair_keys(a: Column, b: Column) -> Column:
    return pc.binary_join_element_wise(pc.min_element_wise(a, b), pc.max_element_wise(a, b), " ")


def _as_array(values: Column) -> pa.Array:
    return values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
