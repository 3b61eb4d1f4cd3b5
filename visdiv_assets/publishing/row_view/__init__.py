"""Everything that is known of one row of a subset or benchmark: collected from the lake and the DuckDB file, as a page.

Belongs here: collecting it (`collect`) and its HTML page (`page`). Printing it on the terminal is in `cli.show`.
"""

from visdiv_assets.publishing.row_view.collect import RowView, collect_row
from visdiv_assets.publishing.row_view.page import write_row_page

__all__ = ["RowView", "collect_row", "write_row_page"]
