from __future__ import annotations

from pathlib import Path

import pytest

from visdiv_assets.sources import Kind, texts
from visdiv_assets.sources import open as open_source
from visdiv_assets.sources.texts import row_texts
from visdiv_assets_tests.conftest import Row, image, write_shard


@pytest.mark.parametrize("batch_rows", [1, 2, 1024])
def test_the_turns_of_the_rows_asked_for_are_joined(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batch_rows: int
) -> None:
    monkeypatch.setattr(texts, "BATCH_ROWS", batch_rows)
    for shard, turns in enumerate(([0, 1, 2], [1, 1], [3])):
        write_shard(tmp_path, "some", [Row([image(0)], turns=count) for count in turns], shard)
    found = row_texts(open_source(str(tmp_path)), Kind.SUBSET, "some", [5, 0, 2, 2, 3])
    assert found == {
        0: "",
        2: "question 0\nanswer\nquestion 1\nanswer",
        3: "question 0\nanswer",
        5: "question 0\nanswer\nquestion 1\nanswer\nquestion 2\nanswer",
    }


def test_a_folder_of_images_has_no_texts_and_no_rows_are_none(tmp_path: Path) -> None:
    (tmp_path / "birds").mkdir()
    (tmp_path / "birds" / "one.png").write_bytes(image(1))
    source = open_source(str(tmp_path))
    assert row_texts(source, Kind.SUBSET, "birds", [0]) == {0: ""}
    assert row_texts(source, Kind.SUBSET, "birds", []) == {}
