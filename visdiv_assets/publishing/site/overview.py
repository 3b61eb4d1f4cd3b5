"""The page with one row per subset."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from visdiv_assets.publishing.site import charts
from visdiv_assets.publishing.site.clean_copy import kept_facts, kept_rows
from visdiv_assets.publishing.site.judged import judged_totals
from visdiv_assets.publishing.site.page_model import (
    Chart,
    Entry,
    Grid,
    Heading,
    Page,
    Section,
    count,
    percent,
    share,
)
from visdiv_assets.publishing.site.report_data import Corpus
from visdiv_assets.publishing.site.score_cells import TOO_FEW, TOO_FEW_MEANING, compared_size, interval, scored
from visdiv_assets.wording import several

#: Category of subsets that are not in FineVision.
OTHER = "other"

#: One row per subset. Shares are of the readable image positions.
SUBSETS = """
WITH near AS (
    SELECT subset, count(*) FILTER (reason = 'exact_copy') AS exact, count(*) FILTER (reason = 'near_copy') AS near
    FROM duplicate_clusters GROUP BY subset
), pixels AS (FROM contamination_rates WHERE benchmark = 'ALL' AND rule = 'confirmed'
), alike AS (FROM contamination_rates WHERE benchmark = 'ALL' AND rule = 'similarity' AND threshold = $threshold
), scored AS (FROM diversity WHERE scope = 'subset' AND centered)
SELECT s.subset, coalesce(s.category, $other) AS category, s."rows", s.images, s.images_unique, s.images_unreadable,
    s.images - s.images_unreadable AS readable,
    s.images - s.images_unreadable - s.images_unique AS exact_copies,
    coalesce(n.exact, 0) + coalesce(n.near, 0) AS redundant,
    p.images_contaminated AS leaked, p.rate AS pixels, p.ci_low AS pixels_low, p.ci_high AS pixels_high,
    a.rate AS alike, a.ci_low AS alike_low, a.ci_high AS alike_high,
    d.effective_rank, d.participation_ratio, d.participation_ratio_unbiased, d.score, d.too_few
FROM subsets s LEFT JOIN near n USING (subset) LEFT JOIN pixels p USING (subset) LEFT JOIN alike a USING (subset)
LEFT JOIN scored d USING (subset)
ORDER BY s.images DESC, s.subset
"""

_RAREFIED = "SELECT subset, sample_size, score_mean, score_low, score_high, too_few FROM diversity_rarefied"

#: Files by kind, and columns that are not read, the most frequent first.
_SKIPPED = """
SELECT kind, sum(files)::BIGINT AS files, min(example) AS example FROM skipped_files GROUP BY kind
ORDER BY files DESC, kind
"""
_UNUSED = """
SELECT column_name, count(*) AS subsets FROM unused_columns GROUP BY column_name
ORDER BY subsets DESC, column_name LIMIT 20
"""

_MEASURES = {
    "score": "diversity score",
    "pixels": "share in a benchmark, confirmed",
    "alike": "share in a benchmark, by similarity",
    "redundant": "share of confirmed copies",
}


#: Facts that are also shown as a share of the readable positions.
_SHARED = ("exact_copies", "redundant", "leaked")


def page(corpus: Corpus) -> Page:
    """Make the page: all subsets by size, with copies, contamination and diversity."""
    rows = corpus.warehouse.rows(SUBSETS, threshold=corpus.contamination_threshold, other=OTHER)
    introduction = (
        "All subsets. Click the name of a column to sort by it; hover over it for its meaning. The name of a subset "
        "links to its report on copies."
    )
    if not rows:
        nothing = "No subset is materialized: run `visdiv run --all`."
        return Page("index.html", "Overview", introduction, [Section("Subsets", nothing=nothing)])
    drawn = corpus.warehouse.rows_of("diversity_rarefied", _RAREFIED)
    size = compared_size(drawn) if drawn else 0
    rarefied = {row["subset"]: row for row in drawn if row["sample_size"] == size}
    kept = kept_rows(corpus)
    sections = [
        Section("Total", facts=_facts(rows)),
        *([Section("What a clean copy keeps", facts=kept_facts(kept))] if kept else []),
        *judged_totals(corpus),
        Section("Subsets", grids=[_grid(corpus, rows, rarefied, {row["subset"]: row for row in kept})]),
        Section("Subsets by size", charts=[_chart(corpus, rows)]),
        *_not_read(corpus),
    ]
    return Page("index.html", "Overview", introduction, sections)


def _not_read(corpus: Corpus) -> list[Section]:
    """Return the section that says what of the source is not read; none if all is."""
    found = corpus.warehouse
    kinds = found.rows_of("skipped_files", _SKIPPED)
    columns = found.rows_of("unused_columns", _UNUSED)
    facts = [(row["kind"], f"{row['files']:,}, such as {row['example']}") for row in kinds]
    facts += [(f"column {row['column_name']}", f"in {several(row['subsets'], 'subset')}") for row in columns]
    where = "The tables skipped_files and unused_columns of the DuckDB file list all of them."
    return [Section("Not read", [where], facts)] if facts else []


def _facts(rows: list[dict[str, Any]]) -> list[tuple[str, str]]:
    names = {
        "rows": "rows",
        "images": "image positions",
        "images_unreadable": "that cannot be read",
        "images_unique": "different images, by subset",
        "exact_copies": "byte-equal copies within a subset",
        "redundant": "redundant copies",
        "leaked": "confirmed to be in a benchmark",
    }
    facts = [("subsets", f"{len(rows):,}")]
    readable = sum(row["readable"] for row in rows)
    for column, name in names.items():
        known = [row[column] for row in rows if row[column] is not None]
        if known:
            of_all = f" ({percent(sum(known) / readable)})" if column in _SHARED and readable else ""
            facts.append((name, f"{sum(known):,}{of_all}"))
    return facts


def _grid(
    corpus: Corpus,
    rows: list[dict[str, Any]],
    rarefied: dict[str, dict[str, Any]],
    kept: dict[str, dict[str, Any]],
) -> Grid:
    threshold = corpus.contamination_threshold
    categories = any(row["category"] != OTHER for row in rows)
    size = next((row["sample_size"] for row in rarefied.values()), None)
    headings = [
        Heading("Subset", "Links to the pairs of close images in the subset."),
        *([Heading("Category", "Category in FineVision.")] if categories else []),
        Heading("Rows", "Rows of the source; a row may have several images, or none."),
        *([Heading("Rows kept", "Share of the rows that a clean copy keeps.")] if kept else []),
        Heading("Images", "Image positions, unreadable ones included."),
        Heading("Unique", "Different readable images, by their bytes."),
        Heading("Unreadable", "Image positions that cannot be decoded."),
        Heading("Byte-equal copies", "Share of the readable positions that repeat an image of the subset."),
        Heading(
            "Redundant copies",
            "Share of the readable positions with a copy of an image that a clean copy keeps at another position, in "
            "any subset: byte-equal, or confirmed by comparing features and pixels (by similarity with "
            "VISDIV_COPIES_BY=similarity).",
        ),
        Heading(
            "In a benchmark, confirmed",
            "Share of the readable positions that are confirmed copies of a benchmark image, with the 95 % interval.",
        ),
        Heading(
            f"In a benchmark, similarity >= {threshold}",
            "Share of the readable positions that are this close to a benchmark image, with the 95 % interval.",
        ),
        Heading("Effective rank", f"Centered; every position counts. {TOO_FEW_MEANING}"),
        Heading("PR, unbiased", f"Unbiased participation ratio. {TOO_FEW_MEANING}"),
        Heading(
            "Score", f"As in FineVision: sqrt(effective rank * participation ratio) / dimension. {TOO_FEW_MEANING}"
        ),
    ]
    if size:
        headings.append(
            Heading(
                f"Score of {size:,}",
                f"Comparable between subsets: mean of samples of {size:,} images, with the interval of 90 % of "
                f"them. {TOO_FEW_MEANING}",
            )
        )
    table = []
    for row in rows:
        entries = [
            Entry(row["subset"], link=corpus.link("duplicates", row["subset"])),
            *([Entry(row["category"])] if categories else []),
            count(row["rows"]),
            *([share(kept[row["subset"]]["share"])] if kept else []),
            *(count(row[name]) for name in ("images", "images_unique", "images_unreadable")),
            *(share(_part(row, name)) for name in ("exact_copies", "redundant")),
            share(row["pixels"], row["pixels_low"], row["pixels_high"]),
            share(row["alike"], row["alike_low"], row["alike_high"]),
            *(scored(row[name], row["too_few"]) for name in ("effective_rank", "participation_ratio_unbiased")),
            scored(row["score"], row["too_few"], 3),
        ]
        if size:
            found = rarefied.get(row["subset"])
            entries.append(interval(found, "score", 3) if found else Entry(None))
        table.append(entries)
    return Grid(several(len(rows), "subset"), headings, table, opened=True)


def _part(row: dict[str, Any], name: str) -> float | None:
    return row[name] / row["readable"] if row["readable"] else None


def _chart(corpus: Corpus, rows: list[dict[str, Any]]) -> Chart:
    drawn = [
        {
            "subset": row["subset"],
            "category": row["category"],
            "images": row["images"],
            "positions": f"{row['images']:,}",
            "measure": name,
            "value": value,
            "said": scored(value, row["too_few"], 3).said if column == "score" else percent(value),
            "too_few": column == "score" and bool(row["too_few"]),
            "link": corpus.link("duplicates", row["subset"]),
        }
        for column, name in _MEASURES.items()
        for row in rows
        if row["images"] and (value := _part(row, column) if column == "redundant" else row[column]) is not None
    ]
    names = list(dict.fromkeys(row["measure"] for row in drawn))
    imaged = [row for row in rows if row["images"]] or rows
    largest, smallest = imaged[0], imaged[-1]
    few = sum(bool(row["too_few"]) for row in imaged)
    summary = (
        f"Each dot is a subset; click it for its report. The largest is {largest['subset']} with "
        f"{largest['images']:,} images, the smallest {smallest['subset']} with {smallest['images']:,}."
    )
    if few:
        summary += (
            f" The scores of {several(few, 'subset')} (hollow) are low because they have {TOO_FEW} images: fewer "
            "than two per dimension."
        )
    y = charts.quantity("value", None)
    y["axis"]["labelExpr"] = f"chosen === '{_MEASURES['score']}' ? datum.label : format(datum.value, '~%')"
    return Chart(
        "sizes",
        "Large and small subsets",
        summary,
        charts.dots(
            x=charts.quantity("images", "images (logarithmic)", log=True),
            y=y,
            color=charts.colored_by([row["subset"] for row in drawn]),
            tooltip={"subset": "subset", "positions": "images", "measure": "measure", "said": "value"},
            choice=charts.choose("measure", names, "Measure"),
        ),
        pa.Table.from_pylist(drawn) if drawn else pa.table({"subset": pa.array([], pa.string())}),
    )
