"""Reports: pairs of images in one HTML file that opens from disk, without a server and without a network.

Belongs here: the data of a report (`model`), the pairs that a page shows (`pair_selection`), drawings of their evidence
(`evidence_view`, `evidence_html`), verdicts in words (`badges`), the HTML page (`page`; its template, styles and script
are in the folder `template/` of the room), the report on a subset (`duplicates`), the report on a benchmark
(`contamination`), and pages of single images (`gallery`). Finding and verifying pairs does not belong here.
"""

from visdiv_assets.corpus.image_lookup import ImageRef
from visdiv_assets.publishing.reports.evidence_view import aligned_view, with_alignments
from visdiv_assets.publishing.reports.model import AlignedView, PairEntry, Report, Table, Value, Verdict
from visdiv_assets.publishing.reports.page import render, write_report
from visdiv_assets.publishing.reports.pair_selection import PAIRS_SHOWN

__all__ = [
    "PAIRS_SHOWN",
    "AlignedView",
    "ImageRef",
    "PairEntry",
    "Report",
    "Table",
    "Value",
    "Verdict",
    "aligned_view",
    "render",
    "with_alignments",
    "write_report",
]
