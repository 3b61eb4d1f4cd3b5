from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from visdiv_assets import sources
from visdiv_assets.sources.about import dataset_name, folder_license
from visdiv_assets_tests.sources.saved import make_dataset


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("hf://datasets/HuggingFaceM4/FineVision@abc", "HuggingFaceM4/FineVision@abc"),
        ("s3://bucket/prefix/my_data?region=x", "my_data"),
        ("data/sample/", "sample"),
        ("/", "/"),
    ],
)
def test_a_data_set_is_named_by_the_end_of_its_location(source: str, name: str) -> None:
    assert dataset_name(source) == name


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("---\nlicense: cc-by-4.0\n---\n# Made up\n", "cc-by-4.0"),
        ("---\r\nlicense: mit\r\n---\r\n", "mit"),
        ("\ufeff---\nlicense: mit\n---\n", "mit"),
        ("---\nlicense: {name: mit}\n---\n", None),
        ("---\nlicense:\n- mit\n- apache-2.0\n---\n", "mit, apache-2.0"),
        ("---\nlicense: other\nlicense_name: made-up-1.0\n---\n", "made-up-1.0"),
        ("---\nlicense: other\n---\n", "other"),
        ("# No metadata\n", None),
        ("---\nlicense: [\n---\n", None),
        ("---\n- mit\n---\n", None),
        ("---\npretty_name: x\n---\n", None),
    ],
)
def test_a_license_is_known_where_a_folder_states_one(tmp_path: Path, text: str, found: str | None) -> None:
    (tmp_path / "README.md").write_bytes(text.encode())
    assert folder_license(tmp_path) == found


def test_sources_of_every_kind_tell_the_license(sample_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "images" / "one.png")
    loaded = make_dataset([1, 2])
    loaded.save_to_disk(tmp_path / "saved")
    for folder in ("images", "saved"):
        (tmp_path / folder / "README.md").write_text("---\nlicense: mit\n---\n")
        assert sources.open(tmp_path / folder).license() == "mit"
    assert sources.open(loaded).license() is None
    loaded.info.license = "cc0-1.0"
    assert sources.open(loaded).license() == "cc0-1.0"
    assert sources.open(sample_folder).license() == folder_license(sample_folder)
