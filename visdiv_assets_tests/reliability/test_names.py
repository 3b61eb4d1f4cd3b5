"""Names with special characters of file systems, URLs, HTML or SQL: right folders and tables, escaped pages."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

import pytest

from visdiv_assets.errors import VisdivError
from visdiv_assets.sources import Kind
from visdiv_assets.storage.files import MAX_NAME_LENGTH, check_length
from visdiv_assets_tests.conftest import Pipeline, Row, near_copy, one_each, other_model
from visdiv_assets_tests.reliability.processes import OF_A_SUBSET, OF_ALL
from visdiv_assets_tests.testing.small_lakes import OF_BENCHMARK

MARKUP = '<img src=x onerror=alert(1)> & "quo\'ted"'
FOLDER = "%3Cimg%20src%3Dx%20onerror%3Dalert%281%29%3E%20%26%20%22quo%27ted%22"
#: Markup in a name that is as long as a name may be.
HTML = MARKUP + "n" * (MAX_NAME_LENGTH - len(FOLDER))

NAMES = {
    "geoqa+(mathv360k)": "geoqa%2B%28mathv360k%29",
    "%2e": "%252e",
    "a b": "a%20b",
    "été 中文": "%C3%A9t%C3%A9%20%E4%B8%AD%E6%96%87",
    HTML: FOLDER + "n" * (MAX_NAME_LENGTH - len(FOLDER)),
}

#: What reports are made of; for all names but one it is enough to be listed, embedded and published.
SHOWN = (*OF_A_SUBSET, "contamination", "verified_contamination", "duplicates_report")
STAGES = ("subset_images", "sscd_embeddings")

COLOR = other_model("color")


class Elements(HTMLParser):
    """Names of a page's elements and of their attributes, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.attributes: set[str] = set()
        self.texts: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def files_of(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_odd_names_have_their_own_folders_tables_and_reports(pipeline: Pipeline, tmp_path: Path) -> None:
    for number, name in enumerate(NAMES):
        pipeline.write(name, [*one_each([number]), Row([near_copy(number)])])
    pipeline.write(HTML, one_each([list(NAMES).index(HTML)]), kind=Kind.BENCHMARK)
    outside = files_of(tmp_path)
    shown = (*OF_BENCHMARK, "benchmark_thumbnails")
    assert pipeline.run(HTML, kind=Kind.BENCHMARK, only=shown, sscd=COLOR).success
    for name in NAMES:
        ran = pipeline.run(name, only=SHOWN if name == HTML else STAGES, sscd=COLOR)
        assert ran.success, (name, ran.failures)
    published = pipeline.publish(only=(*OF_ALL, "leak_reports"))
    assert published.success, published.failures

    assert {path.split("/")[0] for path in files_of(tmp_path) - outside} == {"data"}
    data = Path(pipeline.settings.data)
    assert {folder.name for folder in (data / "lake" / "subset_images").iterdir()} == set(NAMES.values())
    assert pipeline.lake.partitions("sscd_embeddings") == sorted(NAMES)
    for table, names in (("subsets", NAMES), ("images", NAMES), ("contamination_rates", [HTML])):
        assert {name for (name,) in pipeline.query(f"SELECT DISTINCT subset FROM {table}")} == set(names)
    assert pipeline.query("SELECT DISTINCT benchmark FROM contamination_pairs") == [(HTML,)]

    for report in ("duplicates", "leaks"):
        (page,) = (data / "reports" / report).iterdir()
        assert page.name == f"{NAMES[HTML]}.html"
        elements = Elements(page.read_text())
        # No page has an element of this name: images are backgrounds.
        assert "img" not in elements.names
        assert {name for name in elements.attributes if name.startswith("on")} == set()
        assert MARKUP in "".join(elements.texts)


@pytest.mark.parametrize("name", ["n" * (MAX_NAME_LENGTH + 1), "é" * 42, "中" * 28])
def test_a_too_long_name_is_one_line_and_other_subsets_run(pipeline: Pipeline, name: str) -> None:
    for subset in (name, "fine"):
        pipeline.write(subset, one_each([0]))
    message = pipeline.run(name, only=["subset_images"]).failures["subset_pass"]
    assert message is not None
    assert message.startswith(f"the name '{name[:40]}...' takes 25")
    assert message.endswith("rename the subset or benchmark")
    assert pipeline.run("fine", only=["subset_images"]).success
    assert pipeline.lake.partitions("subset_images") == ["fine"]
    assert pipeline.lake.manifest("subset_images", name) is None


def test_the_longest_name_fits_and_one_byte_more_does_not() -> None:
    check_length("n" * MAX_NAME_LENGTH)
    with pytest.raises(VisdivError, match="251 bytes"):
        check_length("n" * (MAX_NAME_LENGTH + 1))


@pytest.mark.parametrize("name", ["../x", "/etc", ".", "some/../../x", "..%2fx"])
def test_a_name_that_is_a_path_is_no_subset_and_writes_nothing(pipeline: Pipeline, tmp_path: Path, name: str) -> None:
    pipeline.write("some", one_each([0]))
    before = files_of(tmp_path)
    message = pipeline.run(name, only=["subset_images"]).failures["subset_pass"]
    assert message is not None
    assert f"has no {name!r} among its subsets" in message
    assert files_of(tmp_path) == before
