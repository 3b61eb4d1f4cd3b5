"""Data from an attacker: markup in names and texts appears nowhere as markup, in no page and no Markdown."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import dagster as dg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from visdiv_assets.curation.dataset_card import code_span
from visdiv_assets.settings import Settings
from visdiv_assets.sources import SCHEMA, Kind
from visdiv_assets_tests.cli.test_main import visdiv
from visdiv_assets_tests.conftest import image, made_once, near_copy

#: An element that no page has, an attribute and a link that run a script, a template, and Markdown.
MARKUP = "\"'><x-evil onclick=alert(1)> {{7*12347}} ![a](http:evil) `b` =1+1"
TEXT = f"</script><script>alert(1)</script>{MARKUP}<!-- </style> javascript:alert(1)"

#: The kinds of pages, by the folder under the data folder or beside it.
PAGES = ("data/reports/site", "data/reports/duplicates", "data/reports/leaks", "found")


class Page(HTMLParser):
    """The elements of a page, the names of their attributes, the targets of links, and the text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: set[str] = set()
        self.attributes: set[str] = set()
        self.links: set[str] = set()
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.links |= {str(value) for name, value in attrs if name in ("href", "src", "action", "formaction")}

    def handle_data(self, data: str) -> None:
        self.text += data


def write(source: Path, kind: Kind, name: str, images: list[bytes]) -> None:
    """Write a Parquet file whose name, paths, texts and sources are markup."""
    path = source / kind.value / name / f"{MARKUP}.parquet"
    path.parent.mkdir(parents=True)
    records = [
        {
            "images": [{"bytes": data, "path": f"{MARKUP}.png"}],
            "texts": [{"user": TEXT, "assistant": TEXT}],
            "source": TEXT,
        }
        for data in images
    ]
    pq.write_table(pa.Table.from_pylist(records, SCHEMA), path)


def make(folder: Path) -> None:
    source, data = folder / "source", folder / "data"
    write(source, Kind.BENCHMARK, f"bench {MARKUP}", [image(1), image(2)])
    write(source, Kind.SUBSET, f"one {MARKUP}", [image(1), near_copy(1), image(3), b"<x-evil>"])
    write(source, Kind.SUBSET, f"two {MARKUP}", [near_copy(3), image(2)])
    (folder / "query.png").write_bytes(image(3))
    (folder / "found").mkdir()
    for command in (
        ("run", "--all"),
        ("report",),
        ("search", "--image", str(folder / "query.png"), "--html", str(folder / "found" / "found.html")),
        ("export", str(folder / "clean")),
    ):
        result = visdiv(*command, source=source, data=data, VISDIV_CLIP_MODEL="")
        assert result.exit_code == 0, result.output


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_once(tmp_path_factory, "untrusted", make)


@pytest.mark.parametrize("folder", PAGES)
def test_markup_in_data_is_text_on_every_page(made: Path, folder: str) -> None:
    pages = sorted((made / folder).rglob("*.html"))
    assert pages
    shown = 0
    for path in pages:
        page = Page(path.read_text(encoding="utf-8"))
        assert "x-evil" not in page.elements, path
        assert not {name for name in page.attributes if name.startswith("on")}, path
        assert not [link for link in page.links if link.lower().lstrip().startswith(("javascript", "http", "//"))], path
        assert "86429" not in page.text or "{{7*12347}}" in page.text
        shown += "<x-evil onclick=alert(1)>" in page.text
    # A page that shows none of it would prove nothing.
    assert shown


def test_no_page_of_another_folder_is_forgotten(made: Path) -> None:
    folders = {path.parent.relative_to(made).as_posix() for path in made.rglob("*.html")}
    assert {next(page for page in PAGES if folder.startswith(page)) for folder in folders} == set(PAGES)


def without_code(markdown: str) -> str:
    """Remove code spans, and addresses of links that have nothing but harmless characters."""
    without_spans = re.sub(r"(`+).*?[^`]\1(?!`)", "", markdown, flags=re.DOTALL)
    return re.sub(r"\]\(/[\w/.%~-]*\)", "]()", without_spans)


def test_markup_in_data_is_code_in_markdown(made: Path) -> None:
    settings = Settings(data=str(made / "data"))
    with dg.DagsterInstance.from_config(str(settings.data_folder / "dagster")) as instance:
        events = [
            record.event_log_entry.asset_materialization
            for key in instance.all_asset_keys()
            for record in instance.fetch_materializations(key, limit=10).records
        ]
    texts = [
        str(value.md_str)
        for event in events
        if event
        for value in event.metadata.values()
        if isinstance(value, dg.MarkdownMetadataValue)
    ]
    card = (made / "clean" / "README.md").read_text(encoding="utf-8")
    assert sum("x-evil" in text for text in texts) == 1
    for text in [*texts, card.split("---\n", 2)[2]]:
        assert "x-evil" not in without_code(text)
        assert "http:evil" not in without_code(text)


@pytest.mark.parametrize("text", ["a", "a `b` c", "``x`", "<b>\n# x", "", "`"])
def test_a_code_span_ends_where_it_should(text: str) -> None:
    assert without_code(f"a {code_span(text)} b") == "a  b"
    assert " ".join(text.split()) in code_span(text)


def test_markup_in_data_is_in_the_query_as_it_is(made: Path) -> None:
    result = visdiv("query", "SELECT subset FROM subsets", "--format", "json", source=made, data=made / "data")
    assert MARKUP.replace('"', '\\"') in result.stdout
