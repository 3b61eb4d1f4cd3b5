"""Rows of which no image, or no turn, is good enough: named profiles of issues and limits, and the rows they drop."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa
import pyarrow.compute as pc

from visdiv_assets.corpus.tables import LakeTable
from visdiv_assets.curation.image_issues import ISSUE_VALUES, ISSUES, size_bounds
from visdiv_assets.storage.lake import Lake

#: Issues that make an image poor, as SQL by profile. DataComp's are those of its basic filter.
IMAGE_PROFILES: dict[str, dict[str, str]] = {
    "basic": {name: ISSUE_VALUES[name] for name in ("dark", "blurry")},
    "cleanvision": {issue.name: ISSUE_VALUES.get(issue.name, issue.name) for issue in ISSUES},
    "datacomp": {
        "shorter_side_below_200": "least(width, height) < 200",
        "aspect_ratio_above_3": "greatest(width, height) > 3 * least(width, height)",
    },
}

#: Limits of the measures of `texts.turn_quality`, by profile: a turn that exceeds one is poor. Those of Gopher are of
#: whole documents; its other limits, on lengths, would drop nearly all answers to questions about images.
TEXT_PROFILES: dict[str, dict[str, float]] = {
    "basic": {"empty_answer": 0, "refusal": 0, "repeated_ngrams": 0.5, "longest_run": 200},
    "gopher": {
        "empty_answer": 0,
        "refusal": 0,
        "repeated_lines": 0.3,
        "top_ngram": 0.18,
        "repeated_ngrams": 0.15,
        "longest_run": 200,
    },
}

#: Conditions, as SQL by profile, that are not limits from above: a turn that meets one is poor. Those of DataComp's
#: basic filter (mlfoundations/datacomp) are of captions, which answers are compared with.
TEXT_CONDITIONS: dict[str, dict[str, str]] = {
    "datacomp": {
        "not_english": "language <> 'en'",
        "at_most_2_words": "answer_words <= 2",
        "at_most_5_characters": "answer_characters <= 5",
    },
}

#: A row to drop, and why.
POOR_ROWS_SCHEMA = pa.schema([("row", pa.int64()), ("detail", pa.string())])

#: Columns of `subset_images` that issues are found by.
_IMAGE_COLUMNS = (
    "row",
    "image_index",
    "status",
    "width",
    "height",
    "brightness_p5",
    "brightness_p99",
    "sharpness",
    "histogram_deviation",
    "low_information",
    "grayscale",
)


def rows_with_poor_images(lake: Lake, subset: str, profile: str) -> pa.Table:
    """Return the rows of a subset with readable images, of which each has an issue: table of `POOR_ROWS_SCHEMA`.

    Args:
        lake: holds `subset_images`.
        subset: its name.
        profile: one of `IMAGE_PROFILES`.
    """
    images = lake.require(LakeTable.SUBSET_IMAGES, subset)
    listed = lake.read(images, columns=list(_IMAGE_COLUMNS), where=pc.field("status") == "ok")
    conditions = IMAGE_PROFILES[profile]
    bounded = f"things CROSS JOIN ({size_bounds('things')})"
    return _poor_rows(listed, bounded, "image_index", conditions, "every image has an issue")


def rows_with_poor_turns(lake: Lake, subset: str, profile: str) -> pa.Table:
    """Return the rows of a subset with turns, of which each exceeds a limit: table of `POOR_ROWS_SCHEMA`.

    Args:
        lake: holds `text_quality`.
        subset: its name.
        profile: one of `TEXT_PROFILES` or `TEXT_CONDITIONS`.

    Raises:
        NotMaterializedError: the turns of the subset were never measured.
    """
    limits = TEXT_PROFILES.get(profile, {})
    manifest = lake.require(LakeTable.TEXT_QUALITY, subset)
    columns = [*limits] or ["language", "answer_words", "answer_characters"]
    turns = lake.read(manifest, "turns", columns=["row", "turn", *columns])
    # Measures are of single precision, so limits are too: a share of 0.3 does not exceed 0.3.
    exceeded = {name: f"{name}::FLOAT > {limit}::FLOAT" for name, limit in limits.items()}
    conditions = exceeded or TEXT_CONDITIONS[profile]
    return _poor_rows(turns, "things", "turn", conditions, "every turn exceeds a limit")


def _poor_rows(things: pa.Table, source: str, index: str, conditions: Mapping[str, str], detail: str) -> pa.Table:
    """Return the rows of which every image or turn meets a condition, with those that the first one meets."""
    import duckdb

    met = ", ".join(f"CASE WHEN {condition} THEN '{name}' END" for name, condition in conditions.items())
    with duckdb.connect() as connection:
        connection.register("things", things)
        found = connection.sql(
            f"""
            WITH poor AS (SELECT "row", {index} AS number, concat_ws(', ', {met}) AS met FROM {source})
            SELECT "row", $detail || ': ' || first(replace(met, '_', ' ') ORDER BY number) AS detail
            FROM poor GROUP BY "row" HAVING bool_and(met <> '') ORDER BY "row"
            """,
            params={"detail": detail},
        ).to_arrow_table()
    return found.cast(POOR_ROWS_SCHEMA)
