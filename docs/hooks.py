"""Pages that are made when the documentation is built: settings, tables, example queries, changelog, the notebook."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from visdiv_assets.publishing.warehouse import schema
from visdiv_assets.publishing.warehouse.examples import load_examples
from visdiv_assets.settings import Settings, variable

CHECKOUT = Path(__file__).parents[1]

SETTINGS_INTRODUCTION = """\
A setting can be set in `visdiv.toml` in the working directory (or the file that `VISDIV_CONFIG` names), as an
environment variable, and for the source and the data folder by the options `--source` and `--data`. Options override
variables, and variables override the file. An unknown name or an invalid value stops the command with an error.
`visdiv settings` lists all settings with their current values.
"""

QUERIES_INTRODUCTION = """\
Each query is a file of the package (`visdiv_assets/publishing/warehouse/examples`). Run it with `visdiv query`, or with
any DuckDB client on `visdiv.duckdb`. The tests compare their answers on the sample with recorded answers.
"""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages; MkDocs calls this hook with the pages that it found."""
    pages = {
        "reference/settings.md": settings_page(),
        "reference/tables.md": tables_page(),
        "reference/queries.md": queries_page(),
        "changelog.md": changelog_page(),
        "guides/notebook.md": notebook_page(),
    }
    for name, lines in pages.items():
        files.append(File.generated(config, name, content="\n".join(lines) + "\n"))
    return files


def in_cell(text: str) -> str:
    """Return a text as it can stand in a cell of a Markdown table."""
    return text.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")


def settings_page() -> Iterator[str]:
    """Yield the page with all settings."""
    yield "# Settings\n"
    yield SETTINGS_INTRODUCTION
    yield "| setting | environment variable | default | meaning |"
    yield "|---|---|---|---|"
    for name, field in Settings.model_fields.items():
        default = f"`{field.default}`" if field.default != "" else "(empty)"
        yield f"| `{name}` | `{variable(name)}` | {default} | {in_cell(str(field.description))} |"


def tables_page() -> Iterator[str]:
    """Yield the page with all tables and views of the DuckDB file."""
    yield "# Tables\n"
    yield "The tables and views of `visdiv.duckdb`, from the comments that the file itself carries.\n"
    for table in (*schema.TABLES, *schema.VIEWS):
        yield f"## {table.name}\n"
        yield f"{table.comment}\n"
        yield "| column | type | meaning |"
        yield "|---|---|---|"
        for column in table.columns:
            yield f"| `{column.name}` | `{column.type}` | {in_cell(column.comment)} |"
        yield ""


def queries_page() -> Iterator[str]:
    """Yield the page with the example queries that the package ships."""
    yield "# Example queries\n"
    yield QUERIES_INTRODUCTION
    for example in load_examples():
        yield f"## {example.title}\n"
        if example.description:
            yield f"{example.description}\n"
        yield f"```sql\n{example.sql.strip()}\n```\n"


def changelog_page() -> Iterator[str]:
    """Yield the changelog of the repository."""
    yield (CHECKOUT / "CHANGELOG.md").read_text(encoding="utf-8")


def notebook_page() -> Iterator[str]:
    """Yield the notebook as a page; the file itself is copied beside it."""
    cells = json.loads((CHECKOUT / "docs" / "guides" / "library.ipynb").read_text(encoding="utf-8"))["cells"]
    for cell in cells:
        text = "".join(cell["source"])
        yield f"{text}\n" if cell["cell_type"] == "markdown" else f"```python\n{text}\n```\n"
        for output in cell.get("outputs", []):
            shown = output["text"] if output["output_type"] == "stream" else output["data"]["text/plain"]
            yield f"```text\n{''.join(shown).rstrip()}\n```\n"
