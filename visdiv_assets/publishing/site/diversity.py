"""The page on the diversity of subsets, compared at equal numbers of images."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from visdiv_assets.publishing.site import charts
from visdiv_assets.publishing.site.by_sample_size import against_size
from visdiv_assets.publishing.site.overview import OTHER
from visdiv_assets.publishing.site.page_model import Chart, Entry, Grid, Heading, Page, Section, count
from visdiv_assets.publishing.site.report_data import Corpus
from visdiv_assets.publishing.site.score_cells import (
    MEASURES,
    TOO_FEW,
    TOO_FEW_MEANING,
    compared_size,
    interval,
    scored,
)
from visdiv_assets.publishing.site.spectra import spectra_section
from visdiv_assets.wording import several

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
    false AS too_few, published_by AS origin FROM diversity_published
UNION ALL
SELECT 'all subsets here', images, effective_rank, participation_ratio, participation_ratio_unbiased, score,
    too_few, 'here'
FROM diversity WHERE scope = 'corpus' AND centered ORDER BY score DESC
"""

#: How the page names who measured a score.
_MEASURED_BY = {
    "finevision": "FineVision's authors",
    "visual_diversity_evaluation": "visual-diversity-evaluation",
    "here": "measured here",
}

_INTRODUCTION = (
    "Diversity scores from the eigenvalues of the covariance of the image vectors. Scores of small sets are low, so "
    "subsets are compared by random samples of equally many images; intervals hold 90 % of the samples."
)


def page(corpus: Corpus) -> Page:
    """Make the page: scores of samples, scores of whole subsets next to published ones, and spectra."""
    whole = corpus.warehouse.rows_of("diversity", _WHOLE, other=OTHER)
    return Page(
        "diversity.html",
        "Diversity",
        _INTRODUCTION,
        [_rarefied(corpus, whole), _whole(corpus, whole), spectra_section(corpus)],
    )


def _rarefied(corpus: Corpus, whole: list[dict[str, Any]]) -> Section:
    heading = "At equal numbers of images"
    rows = corpus.warehouse.rows_of("diversity_rarefied", _RAREFIED, other=OTHER)
    if not rows:
        nothing = (
            "No subset has 256 or more readable images, or the asset rarefied_diversity was not run: "
            "`visdiv run --all`."
        )
        return Section(heading, nothing=nothing)
    return Section(heading, charts=[_ranking(rows), against_size(rows, whole)])


def _ranking(rows: list[dict[str, Any]]) -> Chart:
    """Make the chart of scores by sample size, initially the largest size that nine of ten subsets have."""
    subsets = {row["subset"] for row in rows}
    few = {row["sample_size"]: row["too_few"] for row in rows}
    labels = {size: f"{size:,} ({TOO_FEW})" if few[size] else f"{size:,}" for size in sorted(few)}
    first = compared_size(rows)
    having = [row for row in rows if row["sample_size"] == first]
    best, worst = having[0], having[-1]
    summary = (
        f"For samples of {first:,} images, {best['subset']} is the most diverse subset (score "
        f"{best['score_mean']:.3f}) and {worst['subset']} the least ({worst['score_mean']:.3f}). "
        f"{several(len(having), 'subset has', 'subsets have')} enough images. Where intervals overlap, the order "
        "may be due to chance."
    )
    if few[first]:
        summary += (
            f" {first:,} are {TOO_FEW}, fewer than two images per dimension: these scores are low for this reason; "
            "compare them only with each other."
        )
    drawn = pa.table(
        {
            "subset": [row["subset"] for row in rows],
            "category": [row["category"] for row in rows],
            "size": [labels[row["sample_size"]] for row in rows],
            **{part: [round(row[f"score_{part}"], 5) for row in rows] for part in ("mean", "low", "high")},
            "said": [interval(row, "score", 4).said for row in rows],
            "images": [f"{row['images']:,}" for row in rows],
            "too_few": [row["too_few"] for row in rows],
        }
    )
    return Chart(
        "ranking",
        "Scores of equally many images of each subset",
        summary,
        charts.ranking(
            value="mean",
            low="low",
            high="high",
            name="subset",
            title="score: mean of the samples, with the interval of 90 % of them",
            color=charts.colored_by(subsets),
            tooltip={"subset": "subset", "said": "score (90 % of samples)", "images": "images of the subset"},
            choice=charts.choose("size", list(labels.values()), "Images per sample", labels[first]),
        ),
        drawn,
        _rarefied_grid(rows, list(labels)),
    )


def _rarefied_grid(rows: list[dict[str, Any]], sizes: list[int]) -> Grid:
    headings = [Heading("Subset"), Heading("Images per sample"), Heading("Samples")]
    headings += [
        Heading(name.capitalize(), f"Mean, with the interval of 90 % of the samples. {TOO_FEW_MEANING}")
        for name in MEASURES.values()
    ]
    table = [
        [
            Entry(row["subset"]),
            count(row["sample_size"]),
            count(row["samples"]),
            *(interval(row, measure, 3 if measure == "score" else 1) for measure in MEASURES),
        ]
        for row in rows
    ]
    return Grid(f"Scores at {', '.join(f'{size:,}' for size in sorted(sizes))} images", headings, table)


def _whole(corpus: Corpus, whole: list[dict[str, Any]]) -> Section:
    heading = "Scores of all images, and published scores"
    if not whole:
        return Section(heading, nothing="No subset has scores: run `visdiv run --all`.")
    headings = [
        Heading("Subset"),
        Heading("Images"),
        Heading("Effective rank", f"exp of the entropy of the eigenvalues. {TOO_FEW_MEANING}"),
        Heading("Participation ratio", f"(sum of eigenvalues)² / sum of their squares. {TOO_FEW_MEANING}"),
        Heading(
            "PR, unbiased",
            "With unbiased estimates of numerator and denominator: estimates the value for many more images.",
        ),
        Heading("Vendi", f"Effective rank of the uncentered second moment. {TOO_FEW_MEANING}"),
        Heading("Score", f"sqrt(effective rank * participation ratio) / dimension. {TOO_FEW_MEANING}"),
    ]
    measures = ("effective_rank", "participation_ratio", "participation_ratio_unbiased", "vendi")
    rows = [
        [
            Entry(row["subset"]),
            count(row["images"]),
            *(scored(row[measure], row["too_few"]) for measure in measures),
            scored(row["score"], row["too_few"], 3),
        ]
        for row in whole
    ]
    beside = [
        [
            Entry(row["dataset"]),
            count(row["images"]),
            *(scored(row[measure], row["too_few"]) for measure in measures[:-1]),
            scored(row["score"], row["too_few"], 3),
            Entry(_MEASURED_BY[row["origin"]]),
        ]
        for row in corpus.warehouse.rows(_BESIDE)
    ]
    own = [each for each in headings if each.name not in ("Subset", "Vendi")]
    return Section(
        heading,
        grids=[
            Grid(
                "The corpus and published scores of other datasets",
                [
                    Heading("Dataset"),
                    *own,
                    Heading(
                        "From",
                        "Who measured. FineVision's authors (arXiv 2510.17269), the README of "
                        "visual-diversity-evaluation, or this program. Few images have a low score for that reason "
                        "alone, and photographs a higher one than charts and documents.",
                    ),
                ],
                beside,
                opened=True,
            ),
            Grid(f"Scores of {several(len(rows), 'whole subset')}", headings, rows),
        ],
    )
