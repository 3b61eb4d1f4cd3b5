from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from PIL import Image

from visdiv_assets import sources
from visdiv_assets.curation.dataset_card import folder_name, render_card, with_features
from visdiv_assets.curation.export import export
from visdiv_assets.sources import SCHEMA
from visdiv_assets.sources.conform import IMAGE
from visdiv_assets.sources.image_columns import IMAGES
from visdiv_assets_tests.curation.exports import decide, load, write

ODD_NAMES = [
    "geoqa+(mathv360k)",
    "cambrian(filtered)_processed",
    "text_OpenMathInstruct-2",
    "olmOCR-mix-0225-books",
    "a.b",
    "__special",
    "Ünï code",
    "x'y",
    "{x,y}",
    "a!b@c~#d&e;f$g=h^i",
    "1e3",
    "null",
    "a*b",
    "a?b",
    "[ab]",
    "a:b",
    "100%",
    "a%2Ab",
    'say "hi"',
    "back\\slash",
    "README.md",
    "dropped.parquet",
    "line\nbreak",
]


def png(side: int) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (side, side + 1)).save(stream, "PNG")
    return stream.getvalue()


def table(images: Any, kind: pa.DataType = IMAGES) -> pa.Table:
    """Rows with images, as another program may have written them."""
    count = len(images)
    texts = pa.array([[{"user": "u", "assistant": "a"}]] * count, SCHEMA.field("texts").type)
    return pa.table({"images": pa.array(images, kind), "texts": texts, "number": pa.array(range(count), pa.int32())})


def image(side: int) -> dict[str, Any]:
    return {"bytes": png(side), "path": None}


def test_the_samples_copy_loads_with_decoded_images(sample_folder: Path, tmp_path: Path) -> None:
    source, folder = sources.open(sample_folder), tmp_path / "copy"
    kept = np.arange(315) % 2 == 0
    export(source, [decide(source, "clipart_nature", kept), decide(source, "clipart_people")], folder)
    files = sorted(str(file) for file in (folder / "clipart_nature").iterdir())
    readable = [0, 5, 100]
    by_file, by_name = load(
        tmp_path / "cache",
        ({"path": "parquet", "data_files": files}, readable),
        ({"path": str(folder), "name": "clipart_nature"}, readable),
    )
    assert by_file == by_name
    assert by_file["rows"] == 158
    stored = pq.read_table(sample_folder / "subsets" / "clipart_nature")
    assert by_file["columns"] == stored.column_names
    for row, example in zip(readable, by_file["examples"], strict=True):
        original = stored.slice(2 * row, 1).to_pylist()[0]
        opened = [Image.open(io.BytesIO(image["bytes"])) for image in original["images"]]
        assert example["images"] == [["image", image.mode, *image.size] for image in opened]
        assert example["texts"] == original["texts"]


def test_copies_of_others_and_images_load_with_decoded_images(tmp_path: Path) -> None:
    root = tmp_path / "source"
    images = [[image(3)], [], None, [image(4), image(5)]]
    large = pa.large_list(pa.struct([("path", pa.large_string()), ("bytes", pa.large_binary())]))
    without_path = pa.list_(pa.struct([("bytes", pa.binary())]))
    write(root, "plain", table(images))
    write(root, "large", table(images, large))
    write(root, "without path", table([[{"bytes": png(3)}], [], None, [{"bytes": png(4)}]], without_path))
    write(root, "bytes alone", table([[png(3)], [], None, [png(4)]], pa.list_(pa.binary())))
    write(root, "emptied", table(images))
    album = tmp_path / "album" / "cats"
    album.mkdir(parents=True)
    for side in (6, 7):
        (album / f"{side}.png").write_bytes(png(side))
    for place, folder in ((root, "copy"), (album.parent, "images")):
        source = sources.open(place)
        decided = [
            decide(source, name, [name != "emptied"] * (2 if name == "cats" else 4)) for name in source.subsets()
        ]
        export(source, decided, tmp_path / folder)
    names = ["plain", "large", "without path", "bytes alone"]
    *loaded, cats = load(
        tmp_path / "cache",
        *(({"path": str(tmp_path / "copy"), "name": name}, None) for name in names),
        ({"path": str(tmp_path / "images"), "name": "cats"}, None),
    )
    three, four, five = (["image", "RGB", side, side + 1] for side in (3, 4, 5))
    for name, found in zip(names, loaded, strict=True):
        shown = [example["images"] for example in found["examples"]]
        if name == "bytes alone":
            assert [len(entry) if entry else entry for entry in shown] == [1, [], None, 1]
        else:
            last = [four] if name == "without path" else [four, five]
            assert shown == [[three], [], None, last]
        assert [example["number"] for example in found["examples"]] == [0, 1, 2, 3]
        assert found["examples"][0]["texts"] == [{"user": "u", "assistant": "a"}]
    assert [example["images"] for example in cats["examples"]] == [
        [["image", "RGB", side, side + 1]] for side in (6, 7)
    ]
    assert cats["columns"] == ["images", "texts", "source"]
    assert "emptied" not in (tmp_path / "copy" / "README.md").read_text().split("---")[1]


def test_subsets_of_any_name_load_by_the_name_of_their_folder(tmp_path: Path) -> None:
    root, folder = tmp_path / "source", tmp_path / "copy"
    for number, name in enumerate(ODD_NAMES):
        write(root, name, table([[image(number + 1)]] * 3))
    source = sources.open(root)
    assert source.subsets() == sorted(ODD_NAMES)
    export(source, [decide(source, name, [False, True, True]) for name in ODD_NAMES], folder)
    names = [folder_name(name) for name in ODD_NAMES]
    assert sorted(file.name for file in folder.iterdir()) == sorted(
        [*names, "README.md", "croissant.json", "dropped.parquet"]
    )
    loaded = load(tmp_path / "cache", *(({"path": str(folder), "name": name}, None) for name in names))
    for number, found in enumerate(loaded):
        side = number + 1
        assert [example["images"] for example in found["examples"]] == [[["image", "RGB", side, side + 1]]] * 2
    assert set(pq.read_table(folder / "dropped.parquet")["subset"].to_pylist()) == set(ODD_NAMES)


def test_folders_are_named_as_published_unless_that_cannot_be() -> None:
    names = {name: folder_name(name) for name in ODD_NAMES}
    as_published = [name for name, folder in names.items() if name == folder]
    assert as_published == ODD_NAMES[: ODD_NAMES.index("a*b")]
    assert folder_name("a/b") == "a%2Fb"
    assert folder_name("..") == "%2E."
    assert folder_name(" a") == "%20a"
    assert len(set(names.values())) == len(names)


def test_metadata_for_datasets_stay_as_they_are() -> None:
    given = table([]).schema.with_metadata({"huggingface": "{}", "mine": "too"})
    assert with_features(given).equals(given, check_metadata=True)


def test_metadata_are_added_in_the_form_all_versions_read() -> None:
    extra = [
        ("score", pa.float64()),
        ("half", pa.float16()),
        ("flag", pa.bool_()),
        ("when", pa.timestamp("us")),
        ("large", pa.large_list(pa.int64())),
        ("ratings", pa.list_(pa.int64())),
    ]
    given = pa.schema([*table([]).schema, *(pa.field(*field) for field in extra)], metadata={"mine": "too"})
    schema = with_features(given)
    assert schema.equals(given)
    assert schema.metadata[b"mine"] == b"too"
    assert json.loads(schema.metadata[b"huggingface"])["info"]["features"] == {
        "images": [{"_type": "Image"}],
        "texts": [{"user": {"dtype": "string", "_type": "Value"}, "assistant": {"dtype": "string", "_type": "Value"}}],
        "number": {"dtype": "int32", "_type": "Value"},
        "score": {"dtype": "float64", "_type": "Value"},
        "half": {"dtype": "float16", "_type": "Value"},
        "flag": {"dtype": "bool", "_type": "Value"},
        "when": {"dtype": "timestamp[us]", "_type": "Value"},
        "ratings": [{"dtype": "int64", "_type": "Value"}],
    }


def test_images_in_columns_of_other_names_are_declared(tmp_path: Path) -> None:
    polars = pa.struct([("path", pa.large_string()), ("bytes", pa.large_binary())])
    columns = {"image_0": pa.array([image(3)], polars), "image_1": pa.array([image(4)], IMAGE), "image": ["3.png"]}
    write(tmp_path / "source", "some", pa.table(columns))
    source = sources.open(tmp_path / "source")
    export(source, [decide(source, "some", [True])], tmp_path / "copy")
    (loaded,) = load(tmp_path / "cache", ({"path": str(tmp_path / "copy"), "name": "some"}, None))
    assert loaded["examples"] == [
        {"image_0": ["image", "RGB", 3, 4], "image_1": ["image", "RGB", 4, 5], "image": "3.png"}
    ]


@pytest.mark.parametrize(
    "kind",
    [
        pa.list_(pa.binary()),
        pa.list_(pa.struct([*IMAGE, pa.field("width", pa.int64())])),
        pa.list_(pa.struct([("path", pa.string())])),
        pa.string(),
    ],
    ids=str,
)
def test_images_of_another_shape_keep_their_type(kind: pa.DataType) -> None:
    given = pa.schema([("images", kind), ("number", pa.int64())])
    schema = with_features(given)
    assert schema.equals(given)
    assert b"Image" not in schema.metadata[b"huggingface"]


def test_the_card_has_one_config_per_subset_with_rows() -> None:
    text = render_card("data/sample", {"a": (10, 7), 'o"dd': (5, 5), "gone": (3, 0)})
    _, head, body = text.split("---\n")
    assert yaml.safe_load(head) == {
        "configs": [
            {"config_name": name, "data_files": [{"split": "train", "path": f"{name}/*.parquet"}]}
            for name in ("a", "o%22dd")
        ]
    }
    assert "12 of 18 rows in 3 subsets" in body
    assert "from `data/sample`" in body
    assert "All rows of `gone` are dropped." in body
    assert render_card("x", {"gone": (3, 0)}).startswith("# A clean copy of `x`\n")


def test_the_card_counts_personal_data_if_texts_were_searched() -> None:
    rows = {"a": (10, 7)}
    text = render_card("x", rows, personal={"email": (3, 2), "ip_address": (0, 0)})
    assert "email: 3 in 2 rows; ip address: 0 in 0 rows." in text
    assert "Personal data" not in render_card("x", rows)
