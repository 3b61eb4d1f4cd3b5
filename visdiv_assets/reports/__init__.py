"""Reports: pairs of pictures in one HTML file, which opens from disk without a server and without a network.

Belongs here: what a report holds (`pairs`), how it becomes a page (`page`, with its template, styles and script in
the folder `template/`), and what each of the reports tells (`duplicates`, `leaks`). Does not: how pairs are found.
"""

from visdiv_assets.reports.page import render, write_report
from visdiv_assets.reports.pairs import PAIRS_SHOWN, PairEntry, PictureRef, Report, Table, Value

__all__ = ["PAIRS_SHOWN", "PairEntry", "PictureRef", "Report", "Table", "Value", "render", "write_report"]
