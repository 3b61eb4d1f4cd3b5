"""The section on personal data of the page on quality shows that of rows and that of image texts."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from visdiv_assets.publishing.site import quality
from visdiv_assets.publishing.site.page_model import Section
from visdiv_assets.publishing.site.report_data import Corpus, open_report_data
from visdiv_assets_tests.publishing.site.corpora import MadeUp, make

READ = """
INSERT INTO image_texts (subset, "row", image_index, image_id, status)
    SELECT 'one', i, 0, 'id' || i, 'read' FROM range(4) t(i);
INSERT INTO image_personal_data VALUES ('one', 0, 0, 'id0', 'email', 2), ('one', 2, 0, 'id2', 'email', 1);
"""


@pytest.fixture
def made(tmp_path: Path) -> MadeUp:
    return make(tmp_path, ["one"], [])


def personal_data(made: MadeUp) -> Section:
    with open_report_data(made.warehouse) as warehouse:
        corpus = Corpus(
            warehouse, made.lake, None, made.reports, contamination_threshold=0.95, duplicate_threshold=0.95
        )
        (section,) = [each for each in quality.page(corpus).sections if each.heading == "Personal data"]
    return section


def test_without_texts_the_section_says_what_to_run(made: MadeUp) -> None:
    with duckdb.connect(str(made.warehouse)) as connection:
        connection.execute("DELETE FROM text_quality")
    section = personal_data(made)
    assert not section.charts
    assert "visdiv run --all" in section.nothing


def test_images_with_it_are_counted_once_for_each_kind(made: MadeUp) -> None:
    with duckdb.connect(str(made.warehouse)) as connection:
        connection.execute("DELETE FROM text_quality;" + READ)
    (chart,) = personal_data(made).charts
    assert "email 2, phone 0, ip address 0, key 0 images" in chart.summary
    shares = {row["kind"]: row["value"] for row in chart.data.to_pylist()}
    assert shares == {"email": 0.5, "phone": 0.0, "ip address": 0.0, "key": 0.0}


def test_texts_of_rows_and_of_images_have_a_chart_each(made: MadeUp) -> None:
    with duckdb.connect(str(made.warehouse)) as connection:
        connection.execute("INSERT INTO text_quality (subset, \"row\", turn) VALUES ('one', 0, 0);" + READ)
    assert [each.name for each in personal_data(made).charts] == ["personal", "personal-in-images"]
