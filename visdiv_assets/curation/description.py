"""Describe an export in words and for programs: the dataset card and the Croissant metadata."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from visdiv_assets.curation.croissant import CROISSANT_FILE, croissant, read_schemas
from visdiv_assets.curation.dataset_card import code_span, render_card
from visdiv_assets.curation.dataset_facts import DatasetFacts
from visdiv_assets.sources.about import dataset_name
from visdiv_assets.wording import several

CARD_FILE = "README.md"


def describe(
    uri: str,
    folder: Path,
    rows: Mapping[str, tuple[int, int]],
    *,
    tagged: bool,
    turns_left_out: int,
    decisions: int,
    personal: Mapping[str, tuple[int, int]] | None,
    license_name: str | None,
    facts: DatasetFacts | None,
) -> dict[str, str]:
    """Return the texts that describe an export, by the names of their files.

    Args:
        uri: the source.
        folder: of the export, with the files of all subsets.
        rows: by subset, the number of its rows and of its kept rows.
        tagged: whether all rows are in the export.
        turns_left_out: number of turns of kept rows that are not in it.
        decisions: number of people's decisions in it.
        personal: personal data in its texts; see `render_card`.
        license_name: the license that the source states; None if it states none.
        facts: what the published findings say of the source; None if there are none.
    """
    more = [_license(license_name), *([] if facts is None else findings(facts))]
    card = render_card(
        uri, rows, tagged=tagged, turns_left_out=turns_left_out, decisions=decisions, personal=personal, more=more
    )
    body = card.split("---\n", 2)[2] if card.startswith("---\n") else card
    schemas = read_schemas(folder, list(rows))
    published = facts.published if facts else ""
    name = f"{dataset_name(uri)} with findings" if tagged else f"Clean copy of {dataset_name(uri)}"
    described = croissant(name, body, schemas, license_name=license_name, published=published)
    return {CARD_FILE: card, CROISSANT_FILE: json.dumps(described, ensure_ascii=False, indent=1) + "\n"}


def findings(facts: DatasetFacts) -> list[str]:
    """Return the paragraphs of a card on sizes, duplicates, contamination, and what these numbers do not say.

    Args:
        facts: what the findings say of the source, before rows were dropped.
    """
    lines = [
        f"| {_cell(each.subset)} | {each.rows} | {each.images} | {each.unreadable} | {_number(each.duplicates)} | "
        f"{_number(each.contaminated)} |\n"
        for each in facts.subsets
    ]
    compared = [each for each in facts.benchmarks if each.leaked is not None]
    leaks = [f"| {_cell(each.benchmark)} | {each.images} | {each.leaked} |\n" for each in compared if each.leaked]
    date = f" on {facts.published}" if facts.published else ""
    return [
        f"\n## Findings on the source\n\nPublished{date}, before rows were dropped. Numbers are of image positions: "
        "an image that occurs twice counts twice.\n\n",
        "| subset | rows | images | unreadable | duplicates | in a benchmark |\n|---|---|---|---|---|---|\n",
        *lines,
        "\nDuplicates are byte-equal or confirmed copies of an image that a clean copy keeps elsewhere. ",
        *_comparison(len(compared), leaks),
        "\n## Limits\n\n- Copies are confirmed by comparing local features and pixels of candidate pairs. Copies that "
        "are no candidates, or that are left undecided, are not counted.\n"
        "- Contamination is measured against these benchmarks only. Others may be in the data.\n"
        "- Similar images that are no copies, such as other photographs of one scene, remain.\n",
    ]


def _comparison(compared: int, leaks: list[str]) -> list[str]:
    """Return the sentence on the benchmarks compared, and the table of those that leaked, given its rows."""
    if not compared:
        return ["The images were not compared with those of a benchmark.\n"]
    sentence = f"The images were compared with those of {several(compared, 'benchmark')}"
    if not leaks:
        return [f"{sentence}; none has a copy.\n"]
    return [f"{sentence}:\n\n| benchmark | images | with a copy in the source |\n|---|---|---|\n", *leaks]


def _license(name: str | None) -> str:
    if name is None:
        return "\n## License\n\nNo license was found at the source; look there for the license that applies.\n"
    return f"\n## License\n\nThe source states {code_span(name)}. Its subsets may have licenses of their own.\n"


def _cell(name: str) -> str:
    """Return a name for a cell of a table."""
    return code_span(name).replace("|", "\\|")


def _number(value: int | None) -> str:
    return "not computed" if value is None else str(value)
