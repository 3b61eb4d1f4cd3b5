"""The command `visdiv benchmarks`."""

from __future__ import annotations

from collections.abc import Collection

import click

from visdiv_assets.cli.options import pass_settings
from visdiv_assets.cli.output import Form, echo_tables, format_option
from visdiv_assets.settings import Settings

EXAMPLES = """\
\b
Examples:
  visdiv benchmarks
  visdiv benchmarks --format csv > benchmarks.csv
"""


@click.command(epilog=EXAMPLES)
@format_option
@pass_settings
def benchmarks(settings: Settings, form: Form) -> None:
    """List benchmarks, and whether each is in the source and materialized.

    FineVision was compared with the 66 benchmarks of the list finevision66. A source on the Hub has those of
    VISDIV_BENCHMARK_LIST and downloads them when they run. In a source that is a folder, put a benchmark's files into
    benchmarks/<name>/. VISDIV_BENCHMARK_CATALOG names a catalog of your own.
    """
    from visdiv_assets.corpus.tables import LakeTable
    from visdiv_assets.publishing.row_formats import Rows
    from visdiv_assets.sources.catalog import benchmarks as read_catalog
    from visdiv_assets.wiring import open_lake, open_source

    held = set(open_source(settings).benchmarks())
    done = set(open_lake(settings).partitions(LakeTable.BENCHMARK_EMBEDDINGS))
    listed = read_catalog(settings.benchmark_catalog or None)
    rows = [(entry.name, entry.list, entry.hub_id, entry.config or "", entry.split) for entry in listed]
    known = {entry.name for entry in listed}
    rows += [(name, "", "", "", "") for name in sorted((held | done) - known)]
    columns = ("benchmark", "list", "dataset", "config", "split", "state")
    echo_tables(form, Rows("benchmarks", columns, [(*row, _state(row[0], done, held)) for row in rows]))


def _state(name: str, done: Collection[str], held: Collection[str]) -> str:
    return "materialized" if name in done else "in the source" if name in held else "not in the source"
