"""All that is known of a pair: positions, files, texts of both rows, and what verification found."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from visdiv_assets.corpus.image_lookup import ImagePosition, ImageReader
from visdiv_assets.corpus.tables import LakeTable
from visdiv_assets.corpus.turns import row_strings, row_turns
from visdiv_assets.publishing import text_cells
from visdiv_assets.publishing.reports.badges import VERIFIED, badge, percent, verdict_of
from visdiv_assets.publishing.review.pair_images import sides
from visdiv_assets.publishing.review.pair_loading import CONTAMINATION
from visdiv_assets.sources import Kind
from visdiv_assets.storage.lake import Lake

#: Maximum turns of a row, strings of a row of a benchmark, and characters of each that are shown.
TEXTS_SHOWN, TEXT_SHOWN = 20, 4000


def describe_pair(images: ImageReader, pair: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the page shows of a pair beside its images, as JSON.

    Args:
        images: reads the lists of images, and the lake.
        pair: as `PairIndex.find` returns it.
    """
    verdict = verdict_of({**pair, "verified": VERIFIED[pair["verdict"]]}, swapped=pair["swapped"])
    assert verdict is not None
    said = badge(verdict)
    left, right = (_describe_side(images, kind, position) for kind, position in sides(pair))
    measured = bool(verdict.transform)
    return {
        "number": pair["number"],
        "kind": pair["kind"],
        "left": left | {"role": "Training image" if pair["kind"] == CONTAMINATION else "Left image"},
        "right": right | {"role": "Benchmark image" if pair["kind"] == CONTAMINATION else "Right image"},
        "verdict": pair["verdict"],
        "evidence": said.label.shown,
        "meaning": said.meaning,
        "confidence": pair["confidence"],
        "similarity": pair["similarity"],
        "overlap": percent(verdict.overlap) if measured else None,
        "agreement": percent(verdict.agreement) if measured else None,
        "transform": list(verdict.transform),
        "subsets": pair["subsets"],
        "benchmarks": pair["benchmarks"],
        "mark": pair["mark"],
        "sampled": pair["sampled"],
    }


def _describe_side(images: ImageReader, kind: Kind, position: ImagePosition) -> dict[str, Any]:
    shown = images.read(kind, [position])[position]
    return {
        "kind": "benchmark" if kind is Kind.BENCHMARK else "subset",
        "name": position.name,
        "row": position.row,
        "image_index": position.image_index,
        "image_id": position.image_id,
        "file": shown.file,
        "row_in_file": shown.row_in_file,
        "path": shown.path,
        "about": shown.preview.about,
        "texts": _texts(images.lake, kind, position),
    }


def _texts(lake: Lake, kind: Kind, position: ImagePosition) -> list[dict[str, str]]:
    """Return the texts of a row: the question and answer of each turn, or the strings of a row of a benchmark."""
    if kind is Kind.BENCHMARK:
        return [{"": _shorten(text)} for text in row_strings(lake, position.name, position.row)[:TEXTS_SHOWN]]
    if lake.manifest(LakeTable.SUBSET_TURNS, position.name) is None:
        return []
    turns = row_turns(lake, position.name, [position.row])[position.row][:TEXTS_SHOWN]
    found = [{"question": user, "answer": answer} for user, answer in turns]
    return [{name: _shorten(text) for name, text in turn.items() if text} for turn in found]


def _shorten(text: str) -> str:
    return text_cells.clean(text, TEXT_SHOWN)
