"""Reports: pairs of images in one HTML file, which opens from disk without a server and without a network.

Belongs here: what a report holds (`pairs`), which pairs a page has (`choice`), the evidence of them drawn
(`alignment`), how all that becomes a page (`page`, with its template, styles and script in the folder `template/`), and
what each of the reports tells (`duplicates`, `leaks`). Does not: how pairs are found and verified.
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
