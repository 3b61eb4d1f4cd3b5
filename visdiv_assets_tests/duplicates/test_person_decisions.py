"""The file of people's decisions on pairs: what is written, what is read, and what is refused."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from multiprocessing import get_context
from pathlib import Path

import pyarrow as pa
import pytest

from visdiv_assets.duplicates.decided_pairs import effect_of
from visdiv_assets.duplicates.person_decisions import (
    DECISIONS_SCHEMA,
    Column,
    Decision,
    Decisions,
    append_decision,
    look_up,
    parse_decision,
    read_decisions,
)
from visdiv_assets.errors import InputError, StorageError

NOW = datetime(2026, 5, 4, 9, 30, tzinfo=timezone(timedelta(hours=2)))
A, B, C, D = (f"{number:032x}" for number in (1, 2, 3, 0xABC))


def decide(a: str, b: str, decision: str, **values: object) -> Decision:
    """Return a decision on a pair of images."""
    line = {"image_id_a": a, "image_id_b": b, "decision": decision, "decided_at": NOW.isoformat()}
    return parse_decision(json.dumps({**line, "kind": "duplicates", **values}))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return the path of a file that does not exist, in a folder that does not exist."""
    return tmp_path / "data" / "decisions.jsonl"


def find(decisions: Decisions, a: Column, b: Column) -> pa.ChunkedArray:
    return look_up(a, b, *(decisions.effective[name] for name in ("image_id_a", "image_id_b", "decision")))


def test_what_is_appended_is_read(file: Path) -> None:
    seen = {"decided_by": "Jürgen", "subset_a": "one", "row_a": 3, "image_index_a": 0, "verdict": "confirmed"}
    append_decision(file, decide(A, B, "wrong", similarity=0.5, sampled=True, **seen))
    append_decision(file, decide(A, A, "right", kind="contamination"))
    found = read_decisions(file)
    assert found.table.schema == DECISIONS_SCHEMA
    assert [row["image_id_b"] for row in found.table.to_pylist()] == [A, B]
    row = found.table.to_pylist()[1]
    assert {name: row[name] for name in seen} == seen
    assert (row["similarity"], row["sampled"], row["row_b"]) == (0.5, True, None)
    assert row["decided_at"] == NOW.astimezone(UTC)
    assert json.loads(file.read_text().splitlines()[0])["decided_at"] == "2026-05-04T09:30:00+02:00"


def test_there_are_no_decisions_without_a_file(file: Path) -> None:
    found = read_decisions(file)
    assert (found.table.num_rows, effect_of(found.effective)) == (0, "")
    assert find(found, pa.array([A]), pa.array([B])).to_pylist() == [None]


def test_the_last_decision_on_a_pair_counts(file: Path) -> None:
    for decision in (
        decide(A, B, "right", sampled=True),
        decide(A, C, "wrong"),
        decide(A, B, "wrong"),
        decide(A, C, "unsure"),
        decide(B, C, "right"),
    ):
        append_decision(file, decision)
    found = read_decisions(file)
    assert found.table["decision"].to_pylist() == ["wrong", "unsure", "right"]
    # The pair was drawn at random, whoever came back to it later.
    assert found.table["sampled"].to_pylist() == [True, False, False]
    assert found.effective["decision"].to_pylist() == ["wrong", "right"]


def test_pairs_are_found_in_either_order() -> None:
    rows = [{"image_id_a": a, "image_id_b": b, "decision": d} for a, b, d in ((A, B, "right"), (A, D, "wrong"))]
    found = Decisions(pa.Table.from_pylist(rows, schema=DECISIONS_SCHEMA))
    one = pa.chunked_array([[B, D], [], [B, "elsewhere"]], pa.string())
    two = pa.chunked_array([[A], [A, D, A]], pa.string())
    assert find(found, one, two).to_pylist() == ["right", "wrong", None, None]
    assert find(found, pa.array([], pa.string()), pa.array([], pa.string())).to_pylist() == []


def test_the_digest_changes_with_what_decisions_change(file: Path) -> None:
    append_decision(file, decide(A, B, "right"))
    first = effect_of(read_decisions(file).effective)
    append_decision(file, decide(A, B, "right", decided_by="another"))
    append_decision(file, decide(A, C, "unsure"))
    assert effect_of(read_decisions(file).effective) == first
    append_decision(file, decide(A, B, "wrong"))
    assert effect_of(read_decisions(file).effective) not in ("", first)
    append_decision(file, decide(A, B, "unsure"))
    assert effect_of(read_decisions(file).effective) == ""


def test_a_withdrawn_decision_does_not_count(file: Path) -> None:
    append_decision(file, decide(A, B, "right"))
    append_decision(file, decide(A, C, "wrong"))
    append_decision(file, decide(A, B, "withdrawn"))
    assert read_decisions(file).table["image_id_b"].to_pylist() == [C]
    append_decision(file, decide(A, B, "unsure"))
    assert read_decisions(file).table["image_id_b"].to_pylist() == [B, C]


def test_an_earlier_decision_that_is_added_later_does_not_count(file: Path) -> None:
    append_decision(file, decide(A, B, "wrong", decided_at="2026-05-05T00:00:00+00:00"))
    append_decision(file, decide(A, B, "right", decided_at="2026-05-04T00:00:00+00:00"))
    assert read_decisions(file).table["decision"].to_pylist() == ["wrong"]


def test_a_decision_after_one_taken_back_is_not_sampled(file: Path) -> None:
    append_decision(file, decide(A, B, "right", sampled=True))
    append_decision(file, decide(A, B, "withdrawn", sampled=True))
    append_decision(file, decide(A, B, "wrong"))
    assert read_decisions(file).table["sampled"].to_pylist() == [False]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"image_id_a": "1"}, "image_id_a"),
        ({"image_id_a": C}, "image_id_a must be less than image_id_b"),
        ({"image_id_a": B}, "image_id_a and image_id_b are the same image"),
        ({"image_id_b": B.replace("2", "G")}, "image_id_b"),
        ({"decision": "maybe"}, "'right', 'wrong', 'unsure' or 'withdrawn'"),
        ({"decided_at": "2026-05-04T09:30:00"}, "decided_at"),
        ({"kind": "leaks"}, "kind"),
        ({"similarity": "NaN"}, "similarity"),
        ({"row_a": -1}, "row_a"),
        ({"sampled": "yes"}, "sampled"),
    ],
)
def test_an_impossible_decision_is_refused(change: dict[str, object], reason: str) -> None:
    line = {**json.loads(decide(A, B, "right").to_json()), **change}
    with pytest.raises(InputError, match=re.escape(reason)):
        parse_decision(json.dumps(line))


@pytest.mark.parametrize("line", ['{"image_id_a"}', "[]", '{"decision": "right"}', "\x00", b"\xff".decode("latin1")])
def test_a_bad_line_is_named(file: Path, line: str) -> None:
    append_decision(file, decide(A, B, "right"))
    with file.open("a") as stream:
        stream.write(f"\n{line}\n")
    append_decision(file, decide(A, C, "right"))
    with pytest.raises(StorageError) as caught:
        read_decisions(file)
    (message,) = str(caught.value).splitlines()
    assert message.startswith(f"{file}, line 3 is not a decision on a pair (")
    assert message.endswith("correct or remove the line")


def test_keys_of_other_versions_do_not_matter(file: Path) -> None:
    append_decision(file, decide(A, B, "right", note="later versions may say more"))
    assert read_decisions(file).table["decision"].to_pylist() == ["right"]


def test_a_line_that_was_cut_off_does_not_count(file: Path) -> None:
    append_decision(file, decide(A, B, "right"))
    whole = file.read_text()
    for end in (1, 20, len(whole) - 3):
        file.write_text(whole + decide(A, B, "wrong").to_json()[:end])
        assert read_decisions(file).table["decision"].to_pylist() == ["right"]
        append_decision(file, decide(A, C, "wrong"))
        assert file.read_text() == whole + decide(A, C, "wrong").to_json() + "\n"
        assert read_decisions(file).table["decision"].to_pylist() == ["right", "wrong"]


def test_a_line_of_an_editor_without_line_break_counts(file: Path) -> None:
    file.parent.mkdir()
    file.write_text(decide(A, B, "right").to_json())
    assert read_decisions(file).table.num_rows == 1
    append_decision(file, decide(A, C, "wrong"))
    assert read_decisions(file).table["decision"].to_pylist() == ["right", "wrong"]


def test_a_full_disk_leaves_the_file_as_it_was(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    append_decision(file, decide(A, B, "right"))
    before = file.read_bytes()
    write = os.write

    def write_half(descriptor: int, data: bytes) -> int:
        if len(data) < 100:
            raise OSError(28, "No space left on device")
        return write(descriptor, data[: len(data) - 50])

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", write_half)
        with pytest.raises(StorageError, match="No space left on device"):
            append_decision(file, decide(A, C, "right"))
    assert file.read_bytes() == before


def append_many(file: Path, first: int, count: int) -> None:
    """Append decisions on pairs of A with a range of images."""
    for number in range(first, first + count):
        append_decision(file, decide(A, f"{number:032x}", "right", decided_by="x" * (number % 900)))


def test_several_processes_may_append(file: Path) -> None:
    context = get_context("spawn")
    writers: list[Callable[[], None]] = []
    for first in (100, 300):
        process = context.Process(target=append_many, args=(file, first, 100))
        process.start()
        writers.append(process.join)
    for wait in writers:
        wait()
    found = read_decisions(file).table["image_id_b"].to_pylist()
    assert found == [f"{number:032x}" for number in (*range(100, 200), *range(300, 400))]
