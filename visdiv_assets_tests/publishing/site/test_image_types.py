"""The pages on types of images and on inappropriate content show what the tables hold."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from visdiv_assets.publishing.site import image_types, inappropriate
from visdiv_assets.publishing.site.page_model import Page
from visdiv_assets.publishing.site.report_data import Corpus, open_report_data
from visdiv_assets_tests.publishing.site.corpora import MadeUp, make

FILL = """
INSERT INTO image_types SELECT 'one', i, 0, 'id' || i, 'features', CASE WHEN i < 6 THEN 'photo' END, 0.9
    FROM range(8) t(i);
INSERT INTO image_types SELECT 'one', i, 0, 'id' || i, 'clip', CASE WHEN i < 4 THEN 'photo' ELSE 'map' END, 0.9
    FROM range(8) t(i);
INSERT INTO inappropriate_images SELECT 'one', i, 0, 'id' || i, 'hate', i / 10, 0, 0, i / 10, 0, 0 FROM range(8) t(i);
INSERT INTO listed_words VALUES ('one', 3, 0, NULL, 'user', 'gosh'), ('one', 3, 0, NULL, 'user', 'darn');
UPDATE subsets SET source_revision = 'a1';
INSERT INTO provenance (table_name, partition, source_revision, settings)
    SELECT 'listed_words', subset, source_revision, '{"list": "words.txt", "words": "0f"}' FROM subsets;
"""


@pytest.fixture
def empty(tmp_path: Path) -> MadeUp:
    return make(tmp_path, ["one"], [])


def pages(made: MadeUp) -> tuple[Page, Page]:
    with open_report_data(made.warehouse) as warehouse:
        corpus = Corpus(
            warehouse, made.lake, None, made.reports, contamination_threshold=0.95, duplicate_threshold=0.95
        )
        return image_types.page(corpus), inappropriate.page(corpus)


def test_without_results_the_pages_say_what_to_run(empty: MadeUp) -> None:
    types, content = pages(empty)
    assert "visdiv run --all" in types.sections[0].nothing
    assert "VISDIV_CLIP_MODEL" in content.sections[0].nothing
    assert "VISDIV_BLOCKLIST" in content.sections[-1].nothing


def test_the_pages_show_what_the_tables_hold(empty: MadeUp) -> None:
    with duckdb.connect(str(empty.warehouse)) as connection:
        connection.execute(FILL)
    types, content = pages(empty)
    by_features, by_clip = types.sections[0].charts
    assert by_features.summary == "Of 8 images: photo 75.00 %, unknown 25.00 %."
    assert by_clip.data.to_pylist()[0]["value"] == 0.5
    assert types.sections[1].grids[0].caption == "Of 6 images that both methods name, they agree on 4"
    rows = {row[1].value: row for row in content.sections[0].grids[0].rows}
    assert [rows["hate"][column].value for column in (2, 7)] == [8, 2]
    assert rows["hate"][6].value == pytest.approx(0.7)
    assert rows["sexual"][7].value == 0
    assert content.sections[1].grids[0].rows[0][1].value == 7
    assert content.sections[1].groups == []
    by_subset, found, words = content.sections[2].grids
    assert by_subset.rows[0][2].value == 1
    assert [entry.value for entry in found.rows[0]] == ["one", 3, "user", 2]
    assert sorted(str(row[0].value) for row in words.rows) == ["darn", "gosh"]
    assert not words.opened
