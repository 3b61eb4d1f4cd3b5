"""What a person says of the pairs of a report is downloaded as lines that VISDIV_DECISIONS reads."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from visdiv_assets.duplicates.person_decisions import read_decisions
from visdiv_assets.publishing.html_files import read_template
from visdiv_assets.publishing.reports.page import render
from visdiv_assets_tests.publishing.reports.examples import jpeg, pair, report

HIGH, LOW = "b" * 32, "a" * 32

#: A page with one card, of which `report_marks.js` uses no more than this.
BROWSER = """
const element = () => ({ dataset: {}, listeners: {}, children: [], setAttribute() {},
  append(...given) { this.children.push(...given); }, after(given) { this.marked = given; },
  addEventListener(name, run) { this.listeners[name] = run; } });
const sides = element();
const card = { ...element(), dataset: CARD, querySelector: () => sides };
const named = { "pair-list": { ...element(), dataset: { kind: "duplicates" }, children: [card] } };
globalThis.localStorage = { held: {}, getItem(name) { return this.held[name] || null; },
  setItem(name, text) { this.held[name] = text; } };
globalThis.document = { title: "Near duplicates", createElement: element, addEventListener() {},
  getElementById: (name) => (named[name] ??= element()) };
"""


def lines_of(card: dict[str, str], clicks: list[int]) -> str:
    """Return what is downloaded after clicks on the buttons of a card: 0 right, 1 wrong, 2 unsure."""
    script = f"""{BROWSER.replace("CARD", json.dumps(card))}
    {read_template("marks.js").replace("const visdivMarks", "globalThis.visdivMarks")}
    {read_template("report_marks.js")}
    for (const number of {clicks}) sides.marked.children[number].listeners.click();
    visdivMarks.download = (name, text) => process.stdout.write(text);
    named.download.listeners.click();"""
    node = shutil.which("node")
    if node is None:
        pytest.skip("needs node")
    # The downloaded text is looked up when the button is clicked.
    return subprocess.run([node, "-e", script], check=True, capture_output=True, text=True, timeout=60).stdout


def card_of(**changes: str) -> dict[str, str]:
    shown = {"leftId": HIGH, "rightId": LOW, "left": "a b 7 0", "right": "charts 2 1"}
    return {**shown, "verdict": "confirmed", "similarity": "0.5", **changes}


def read(tmp_path: Path, text: str) -> list[dict[str, Any]]:
    (tmp_path / "decisions.jsonl").write_text(text)
    found: list[dict[str, Any]] = read_decisions(tmp_path / "decisions.jsonl").table.to_pylist()
    return found


def test_a_downloaded_line_is_a_decision(tmp_path: Path) -> None:
    (found,) = read(tmp_path, lines_of(card_of(), [1]))
    assert found.pop("decided_at") is not None
    assert found == {
        "image_id_a": LOW,
        "image_id_b": HIGH,
        "decision": "wrong",
        "decided_by": None,
        "kind": "duplicates",
        "subset_a": "charts",
        "row_a": 2,
        "image_index_a": 1,
        "subset_b": "a b",
        "row_b": 7,
        "image_index_b": 0,
        "verdict": "confirmed",
        "similarity": 0.5,
        "sampled": False,
    }


@pytest.mark.parametrize(("clicks", "decisions"), [([0], ["right"]), ([0, 2], ["unsure"]), ([1, 1], [])])
def test_the_last_mark_counts_and_the_same_again_takes_it_back(
    tmp_path: Path, clicks: list[int], decisions: list[str]
) -> None:
    assert [line["decision"] for line in read(tmp_path, lines_of(card_of(), clicks))] == decisions


def test_pairs_can_be_marked_only_where_the_kind_is_known() -> None:
    content = report([pair(jpeg(0), jpeg(1))])
    assert 'id="download"' not in render(content)
    marked = render(replace(content, kind="contamination"))
    assert '<button type="button" id="download"' in marked
    assert 'data-kind="contamination"' in marked
    assert read_template("report_marks.js") in marked
