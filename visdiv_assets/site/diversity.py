"""The page of how diverse subsets are, compared at equal numbers of pictures."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from visdiv_assets.site import charts
from visdiv_assets.site.corpus import Corpus
from visdiv_assets.site.overview import OTHER, interval
from visdiv_assets.site.parts import Chart, Entry, Grid, Heading, Page, Section, count, number, several
from visdiv_assets.site.spectra import spectra_section

_MEASURES = {"score": "score", "effective_rank": "effective rank", "participation_ratio": "participation ratio"}

_RAREFIED = """
SELECT r.*, coalesce(s.category, $other) AS category FROM diversity_rarefied r LEFT JOIN subsets s USING (subset)
ORDER BY sample_size DESC, score_mean DESC, subset
"""

_WHOLE = """
SELECT d.*, coalesce(s.category, $other) AS category FROM diversity d LEFT JOIN subsets s USING (subset)
WHERE scope = 'subset' AND centered ORDER BY score DESC NULLS LAST, subset
"""

_BESIDE = """
SELECT dataset, images, effective_rank, participation_ratio, NULL::DOUBLE AS participation_ratio_unbiased, score,
    'published by FineVision''s authors' AS origin FROM diversity_published
UNION ALL
SELECT 'all subsets here', images, effective_rank, participation_ratio, participation_ratio_unbiased, score, 'measured'
FROM diversity WHERE scope = 'corpus' AND centered ORDER BY score DESC
"""

_INTRODUCTION = (
    "How many directions the pictures of a subset fill, by the eigenvalues of their embeddings' covariance. Small sets "
    "read low, so subsets are compared at equal numbers of pictures, drawn again and again; the intervals hold 90 % of "
    "the draws."
)


def page(corpus: Corpus) -> Page:
    """Rarefied scores, whole ones with the published ones beside, and spectra."""
    whole: list[dict[str, Any]] = []
    if corpus.warehouse.has_rows("diversity"):
        whole = corpus.warehouse.rows(_WHOLE, other=OTHER)
    return Page(
        "diversity.html",
        "Diversity",
        _INTRODUCTION,
        [_rarefied(corpus, whole), _whole(corpus, whole), spectra_section(corpus)],
    )


def _rarefied(corpus: Corpus, whole: list[dict[str, Any]]) -> Section:
    heading = "At equal numbers of pictures"
    rows: list[dict[str, Any]] = []
    if corpus.warehouse.has_rows("diversity_rarefied"):
        rows = corpus.warehouse.rows(_RAREFIED, other=OTHER)
    if not rows:
        nothing = (
            "No subset has as many as 256 readable pictures, or the asset rarefied_diversity was not run: "
            "`visdiv run --all`."
        )
        return Section(heading, nothing=nothing)
    return Section(heading, charts=[_ranking(rows), _against_size(rows, whole)])


def _ranking(rows: list[dict[str, Any]]) -> Chart:
    """At first at the largest number of pictures that nine of ten subsets have, so that few are missing."""
    subsets = {row["subset"] for row in rows}
    sizes = sorted({row["sample_size"] for row in rows}, reverse=True)
    having = {size: [row for row in rows if row["sample_size"] == size] for size in sizes}
    first = next((size for size in sizes if 10 * len(having[size]) >= 9 * len(subsets)), sizes[-1])
    best, worst = having[first][0], having[first][-1]
    summary = (
        f"Of {first:,} pictures, {best['subset']} is the most diverse with a score of {best['score_mean']:.3f}, "
        f"{worst['subset']} the least with {worst['score_mean']:.3f}. "
        f"{several(len(having[first]), 'subset has', 'subsets have')} as many. Scores of equal numbers compare with "
        "each other; of fewer than two pictures a dimension (too few) they are low for that alone."
    )
    drawn = pa.table(
        {
            "subset": [row["subset"] for row in rows],
            "category": [row["category"] for row in rows],
            "size": [f"{row['sample_size']:,}" for row in rows],
            **{part: [round(row[f"score_{part}"], 5) for row in rows] for part in ("mean", "low", "high")},
            "said": [interval(row, "score", 4).shown for row in rows],
            "images": [row["images"] for row in rows],
        }
    )
    return Chart(
        "ranking",
        "Score of equally many pictures of each subset",
        summary,
        charts.ranking(
            value="mean",
            low="low",
            high="high",
            name="subset",
            title="score: mean of the draws, and the interval of 90 % of them",
            colour=charts.coloured_by(subsets),
            tooltip={"subset": "subset", "said": "score (90 % of draws)", "images": "pictures in all"},
            choice=charts.choose("size", [f"{size:,}" for size in reversed(sizes)], "Pictures drawn", f"{first:,}"),
        ),
        drawn,
        _rarefied_grid(rows, sizes),
    )


def _rarefied_grid(rows: list[dict[str, Any]], sizes: list[int]) -> Grid:
    headings = [Heading("Subset"), Heading("Pictures drawn"), Heading("Draws")]
    headings += [
        Heading(name.capitalize(), "Mean, with the interval of 90 % of the draws.") for name in _MEASURES.values()
    ]
    headings.append(Heading("Too few", "Fewer than two pictures a dimension: compare only with the same number."))
    table = [
        [
            Entry(row["subset"]),
            count(row["sample_size"]),
            count(row["seeds"]),
            *(interval(row, measure, 3 if measure == "score" else 1) for measure in _MEASURES),
            Entry("too few" if row["too_few"] else ""),
        ]
        for row in rows
    ]
    return Grid(f"Scores at {', '.join(f'{size:,}' for size in sorted(sizes))} pictures", headings, table)


def _against_size(rows: list[dict[str, Any]], whole: list[dict[str, Any]]) -> Chart:
    drawn = [
        {
            "subset": row["subset"],
            "category": row["category"],
            "pictures": row["sample_size"],
            "measure": name,
            "value": row[f"{measure}_mean"],
            "low": row[f"{measure}_low"],
            "high": row[f"{measure}_high"],
        }
        for measure, name in _MEASURES.items()
        for row in rows
    ]
    drawn += [
        {
            "subset": row["subset"],
            "category": row["category"],
            "pictures": row["images"],
            "measure": name,
            "value": row[measure],
            "low": row[measure],
            "high": row[measure],
        }
        for measure, name in _MEASURES.items()
        for row in whole
        if row[measure] is not None
    ]
    drawn.sort(key=lambda row: (row["subset"], row["pictures"]))
    said = [f"{row['value']:,.3f} ({row['low']:,.3f} to {row['high']:,.3f})" for row in drawn]
    table = pa.Table.from_pylist(drawn)
    for name in ("value", "low", "high"):
        rounded = [round(value, 5) for value in table[name].to_pylist()]
        table = table.set_column(table.column_names.index(name), name, pa.array(rounded))
    return Chart(
        "against_size",
        "Diversity against the number of pictures",
        "A line is a subset, and its last point all of it. The scores rise with the number of pictures, steeply below "
        "1,000: lines compare at equal numbers, ends of lines do not. Point at a line to see its interval.",
        charts.curves(
            x=charts.quantity("pictures", "pictures drawn", log=True),
            y=charts.quantity("value", "mean of the draws"),
            line="subset",
            colour=charts.coloured_by([row["subset"] for row in drawn]),
            tooltip={"subset": "subset", "pictures": "pictures", "measure": "measure", "said": "mean (90 % of draws)"},
            band=("low", "high"),
            choice=charts.choose("measure", list(_MEASURES.values()), "Measure"),
        ),
        table.append_column("said", pa.array(said)),
    )


def _whole(corpus: Corpus, whole: list[dict[str, Any]]) -> Section:
    heading = "Of all pictures, and what was published"
    if not whole:
        return Section(heading, nothing="No subset has scores: run `visdiv run --all`.")
    headings = [
        Heading("Subset"),
        Heading("Pictures"),
        Heading("Effective rank"),
        Heading("Participation ratio"),
        Heading("PR, unbiased", "With unbiased numerator and denominator: an estimate of what many more would give."),
        Heading("Vendi", "Effective rank of the uncentred second moment."),
        Heading("Score"),
        Heading("Too few", "Fewer than two pictures a dimension."),
    ]
    measures = ("effective_rank", "participation_ratio", "participation_ratio_unbiased", "vendi")
    rows = [
        [
            Entry(row["subset"]),
            count(row["images"]),
            *(number(row[measure]) for measure in measures),
            number(row["score"], 3),
            Entry("too few" if row["too_few"] else ""),
        ]
        for row in whole
    ]
    beside = [
        [
            Entry(row["dataset"]),
            count(row["images"]),
            *(number(row[measure]) for measure in measures[:-1]),
            number(row["score"], 3),
            Entry(row["origin"]),
        ]
        for row in corpus.warehouse.rows(_BESIDE)
    ]
    own = [each for each in headings if each.name not in ("Subset", "Vendi", "Too few")]
    return Section(
        heading,
        grids=[
            Grid(
                "The corpus beside what was published of others",
                [Heading("Data set"), *own, Heading("From")],
                beside,
                opened=True,
            ),
            Grid(f"Scores of {several(len(rows), 'whole subset')}", headings, rows),
        ],
    )
