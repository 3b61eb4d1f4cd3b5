"""The section on the spectra of subsets, from the moments in the lake."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from visdiv_assets.corpus.tables import LakeTable
from visdiv_assets.diversity.moments import Moments
from visdiv_assets.diversity.scores import too_few
from visdiv_assets.diversity.spectrum import spectrum
from visdiv_assets.publishing.site import charts
from visdiv_assets.publishing.site.overview import OTHER
from visdiv_assets.publishing.site.page_model import Chart, Entry, Grid, Heading, Section, percent
from visdiv_assets.publishing.site.report_data import Corpus
from visdiv_assets.publishing.site.score_cells import TOO_FEW_MEANING, scored
from visdiv_assets.wording import several

#: Number of ranks that are drawn, evenly spaced on a logarithmic axis.
_POINTS = 40
#: Shares of the variance for which the table lists the number of directions.
_HELD = (0.5, 0.9, 0.99)

_HEADING = "Spectra"


@dataclass(frozen=True, slots=True)
class _Spectrum:
    """The spectrum of a subset; `few`: it has fewer than two images per dimension."""

    category: str
    shares: np.ndarray
    few: bool


def spectra_section(corpus: Corpus) -> Section:
    """Make the section: the share of the variance in each direction, one curve per subset."""
    found: dict[str, _Spectrum] = {}
    for row in corpus.warehouse.rows(
        "SELECT subset, coalesce(category, $other) AS category FROM subsets ORDER BY subset", other=OTHER
    ):
        manifest = corpus.lake.manifest(LakeTable.SUBSET_DIVERSITY, row["subset"])
        if manifest is None:
            continue
        moments = Moments.from_arrow(corpus.lake.read(manifest, "moments").slice(0, 1))
        shares = spectrum(moments)
        if len(shares):
            found[row["subset"]] = _Spectrum(row["category"], shares, too_few(moments.n, moments.dimension))
    if not found:
        return Section(_HEADING, nothing="No subset has two or more different images: run `visdiv run --all`.")
    return Section(_HEADING, charts=[_chart(found)])


def _chart(found: dict[str, _Spectrum]) -> Chart:
    columns: dict[str, list[object]] = {"subset": [], "category": [], "rank": [], "share": [], "said": []}
    for subset, of_subset in found.items():
        shares = of_subset.shares
        ranks = np.unique(np.geomspace(1, len(shares), _POINTS).round().astype(int))
        columns["subset"] += [subset] * len(ranks)
        columns["category"] += [of_subset.category] * len(ranks)
        columns["rank"] += ranks.tolist()
        columns["share"] += [float(f"{shares[rank - 1]:.4g}") for rank in ranks]
        columns["said"] += [percent(float(shares[rank - 1])) for rank in ranks]
    first = {subset: float(of_subset.shares[0]) for subset, of_subset in found.items()}
    steepest, flattest = max(first, key=lambda name: first[name]), min(first, key=lambda name: first[name])
    summary = (
        f"Each line is one of {several(len(found), 'subset')}; the flatter it is, the more evenly the variance is "
        "distributed. A direction is an eigenvector of the covariance of the vectors; the first one holds "
        f"{percent(first[flattest])} ({flattest}) to {percent(first[steepest])} ({steepest})."
    )
    headings = [
        Heading("Subset"),
        Heading("First direction", "Share of the variance in the first direction."),
        *(
            Heading(
                f"Directions for {part:.0%}",
                f"Number of the largest directions that hold this share of the variance. {TOO_FEW_MEANING}",
            )
            for part in _HELD
        ),
    ]
    rows = [
        [
            Entry(subset),
            Entry(first[subset], percent(first[subset])),
            *(scored(int(np.searchsorted(np.cumsum(of_subset.shares), part) + 1), of_subset.few, 0) for part in _HELD),
        ]
        for subset, of_subset in found.items()
    ]
    return Chart(
        "spectra",
        "Share of the variance by direction",
        summary,
        charts.curves(
            x=charts.quantity("rank", "direction, largest first", log=True),
            y=charts.quantity("share", "share of the variance", log=True, form="~%"),
            line="subset",
            names=found,
            color=charts.colored_by(found),
            tooltip={"subset": "subset", "rank": "direction", "said": "share"},
            points=False,
        ),
        pa.table(columns),
        Grid("Number of directions by share of the variance", headings, rows),
    )
