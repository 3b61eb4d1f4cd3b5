from __future__ import annotations

import base64
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from visdiv_assets.errors import VisdivError
from visdiv_assets.sources import Kind
from visdiv_assets.sources import schema as schema_module
from visdiv_assets.sources.conform import IMAGE
from visdiv_assets_tests.sources.conftest import Corpus

LISTS = pa.list_(IMAGE)


def image(content: str | None, path: str | None = None) -> dict[str, Any]:
    return {"bytes": content.encode() if content is not None else None, "path": path}


def structs(*contents: str | None) -> pa.Array:
    """A column with one image per row; None is a null."""
    return pa.array([None if content is None else image(content) for content in contents], IMAGE)


def text(content: bytes) -> str:
    return f"data:;base64,{base64.b64encode(content).decode()}"


def read(corpus: Corpus, columns: dict[str, Any], **options: Any) -> list[list[bytes | None]]:
    """The bytes of each row's images, found by `batches`; `fetch` must find the same."""
    corpus.write(pa.table(columns), kind=Kind.BENCHMARK, **options)
    by_batch = {
        size: [
            [image["bytes"] for image in row["images"]]
            for row in corpus.read(kind=Kind.BENCHMARK, columns=["images"], batch_rows=size)
        ]
        for size in (1, 3, 64)
    }
    assert by_batch[1] == by_batch[3] == by_batch[64]
    rows = by_batch[64]
    positions = [(row, index) for row, images in enumerate(rows) for index in range(len(images))][::-1]
    source = corpus.open()
    assert source.fetch(Kind.BENCHMARK, "some", positions) == [rows[row][index] for row, index in positions]
    for row, images in enumerate(rows):
        with pytest.raises(VisdivError, match=f"has no image {len(images)}"):
            source.fetch(Kind.BENCHMARK, "some", [(row, len(images))])
    return rows


@pytest.mark.parametrize("column", ["image", "images", "image_list", "decoded_image", "query_image", "image_0"])
def test_one_image_a_row(corpus: Corpus, column: str) -> None:
    assert read(corpus, {"id": [1, 2, 3], column: structs("a", None, "c")}) == [[b"a"], [], [b"c"]]
    assert read(corpus, {column: pa.array([b"a", None, b"c"])}) == [[b"a"], [], [b"c"]]
    assert read(corpus, {column: pa.array([text(b"a"), None, text(b"c")])}) == [[b"a"], [], [b"c"]]


@pytest.mark.parametrize("column", ["image", "images", "image_list", "decoded_image", "image_0"])
def test_lists_of_images(corpus: Corpus, column: str) -> None:
    given = [[image("a"), image("b")], [], None, [image("c")]]
    expected = [[b"a", b"b"], [], [], [b"c"]]
    assert read(corpus, {column: pa.array(given, LISTS)}) == expected
    assert read(corpus, {column: pa.array(given, pa.large_list(IMAGE))}) == expected
    strings = pa.array([[text(b"a"), text(b"b")], [], None, [text(b"c")]])
    assert read(corpus, {column: strings}) == expected


def test_numbered_columns_are_in_numeric_order_without_gaps(corpus: Corpus) -> None:
    rows = read(
        corpus,
        {
            "image_10": structs("k", "l", None),
            "image_2": structs("c", None, None),
            "question": ["x", "y", "z"],
            "image_1": structs(None, "b", None),
            "image_note": [1, 2, 3],
            "image_1b": [1, 2, 3],
        },
        row_group_size=2,
    )
    assert rows == [[b"c", b"k"], [b"b", b"l"], []]


@pytest.mark.parametrize("numbers", [range(16), range(1, 8), range(1, 21)], ids=str)
def test_the_published_ranges_of_numbered_columns(corpus: Corpus, numbers: range) -> None:
    columns = {
        f"image_{number}": structs(*(f"{row}.{number}" if number % (row + 1) == 0 else None for row in range(9)))
        for number in reversed(numbers)
    }
    assert read(corpus, columns, row_group_size=4) == [
        [f"{row}.{number}".encode() for number in numbers if number % (row + 1) == 0] for row in range(9)
    ]


def test_numbered_columns_skip_entries_without_bytes_and_path(corpus: Corpus) -> None:
    nothing = [image(""), image(None), image("", ""), None]
    by_path = [image(None, "a.png"), image("", "b.png")]
    first = pa.array([*nothing, *by_path], IMAGE)
    rows = read(corpus, {"image_1": first, "image_2": structs(*"abcdef")})
    assert rows == [[b"a"], [b"b"], [b"c"], [b"d"], [None, b"e"], [b"", b"f"]]


def test_numbered_columns_may_be_all_null_or_strings_in_a_file(corpus: Corpus) -> None:
    columns = {"image_0": pa.nulls(2), "image_1": structs("a", None), "image_2": pa.array(["", text(b"b")])}
    assert read(corpus, columns) == [[b"a"], [b"b"]]
    assert read(corpus, {"image_0": pa.nulls(2), "image_1": pa.nulls(2)}) == [[], []]


def test_the_query_comes_before_the_choices(corpus: Corpus) -> None:
    choices = {f"choice_image_{number}": structs(f"c{number}", None) for number in (10, 1, 0)}
    columns = {**choices, "query_image": structs("q", "r"), "choices": ["a", "b"]}
    assert read(corpus, columns) == [[b"q", b"c0", b"c1", b"c10"], [b"r"]]
    assert read(corpus, choices) == [[b"c0", b"c1", b"c10"], []]


def test_a_path_in_image_gives_way_to_the_decoded_image(corpus: Corpus) -> None:
    columns = {"image": ["images/1.jpg", "images/2.jpg"], "decoded_image": structs("a", "b")}
    assert read(corpus, columns) == [[b"a"], [b"b"]]


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        (["image", "decoded_image"], "decoded_image"),
        (["image", "decoded_image", "query_image"], "query_image"),
        (["image", "query_image", "image_0"], "image_0"),
        (["image", "image_0", "image_list"], "image_list"),
        (["image", "image_list", "images"], "images"),
    ],
)
def test_columns_that_hold_more_come_first(corpus: Corpus, columns: list[str], expected: str) -> None:
    assert read(corpus, {column: structs(column) for column in columns}) == [[expected.encode()]]


def test_columns_of_strings_come_after_others_and_nulls_last(corpus: Corpus) -> None:
    strings, nulls = pa.array([text(b"s")]), pa.nulls(1)
    assert read(corpus, {"images": strings, "image": structs("a")}) == [[b"a"]]
    assert read(corpus, {"images": nulls, "image": strings}) == [[b"s"]]
    assert read(corpus, {"images": pa.array([[text(b"s")]]), "image": structs("a")}) == [[b"a"]]
    assert read(corpus, {"images": strings.dictionary_encode(), "image": structs("a")}) == [[b"a"]]


def test_columns_that_cannot_hold_images_are_skipped(corpus: Corpus) -> None:
    assert read(corpus, {"images": [7], "image_1": [8], "image": structs("a")}) == [[b"a"]]
    assert read(corpus, {"image_1": structs("a"), "image_2": [8], "image": structs("b")}) == [[b"b"]]
    corpus.write(pa.table({"images": [7], "image": [True]}), kind=Kind.BENCHMARK)
    with pytest.raises(VisdivError, match="column 'images' is int64, which cannot be read as list"):
        corpus.read(kind=Kind.BENCHMARK)
    corpus.write(pa.table({"image_1": structs("a"), "image_2": [8]}), kind=Kind.BENCHMARK)
    with pytest.raises(VisdivError, match=r"column 'image_1' and 'image_2' is struct.* and int64"):
        corpus.read(kind=Kind.BENCHMARK)


PNG = b"\x89PNG\r\n\x1a\n\xfb\xff\xfe rest"
PLAIN = base64.b64encode(PNG).decode()


@pytest.mark.parametrize(
    "string",
    [
        PLAIN,
        f"data:image/png;base64,{PLAIN}",
        f"DATA:image/png;charset=x;Base64 ,{PLAIN}",
        f"data:;base64,\n{PLAIN}",
        PLAIN.rstrip("="),
        base64.urlsafe_b64encode(PNG).decode(),
        base64.encodebytes(PNG * 9).decode(),
        f"  {PLAIN}\r\n",
    ],
)
@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())])
def test_base64_in_the_forms_found_in_the_wild(corpus: Corpus, string: str, kind: pa.DataType) -> None:
    ((found,),) = read(corpus, {"image": pa.array([string]).cast(kind)})
    assert found in (PNG, PNG * 9)


@pytest.mark.parametrize("string", ["images/1.jpg", "no base64!", "Ünï", "train/img00001", "A"])
def test_a_string_that_is_no_image_is_a_path(corpus: Corpus, string: str) -> None:
    assert read(corpus, {"image": [string]}) == [[None]]
    assert corpus.read(kind=Kind.BENCHMARK)[0]["images"] == [image(None, string)]


@pytest.mark.parametrize("string", ["data:image/svg+xml,%3Csvg%3E", "data:image/png;base64,***", "?" * 1001])
def test_a_broken_image_keeps_its_own_bytes(corpus: Corpus, string: str) -> None:
    assert read(corpus, {"image": [string]}) == [[string.encode()]]


def test_an_empty_string_equals_a_null(corpus: Corpus) -> None:
    assert read(corpus, {"image": ["", None, text(b"a")]}) == [[], [], [b"a"]]
    assert read(corpus, {"image": [["", text(b"a")], [None, text(b"b")]]}) == [[None, b"a"], [None, b"b"]]
    assert read(corpus, {"image": [[None, image("a")]]}) == [[None, b"a"]]


def test_paths_stay_with_their_images(corpus: Corpus) -> None:
    columns = {
        "image_2": pa.array([image("b", "b.png"), None], IMAGE),
        "image_1": pa.array([image("a", "a.png"), image(None, "c.png")], IMAGE),
    }
    corpus.write(pa.table(columns), kind=Kind.BENCHMARK)
    assert [row["images"] for row in corpus.read(kind=Kind.BENCHMARK)] == [
        [image("a", "a.png"), image("b", "b.png")],
        [image(None, "c.png")],
    ]


def test_a_subsets_images_are_found_in_the_same_places(corpus: Corpus) -> None:
    turns = pa.array([[]], schema_module.SCHEMA.field("texts").type)
    for columns in ({"image_0": structs("a")}, {"image": structs("a")}, {"image_list": structs("a")}):
        corpus.write(pa.table({"texts": turns, **columns}))
        assert [image["bytes"] for row in corpus.read() for image in row["images"]] == [b"a"]


def test_a_duplicate_numbered_column_is_an_error(corpus: Corpus) -> None:
    corpus.write(pa.Table.from_arrays([structs("a")] * 3, names=["image_1", "image_2", "image_1"]), kind=Kind.BENCHMARK)
    with pytest.raises(VisdivError, match="has the column 'image_1' more than once"):
        corpus.read(kind=Kind.BENCHMARK)


CELLS = st.sampled_from([None, "", "a", "bc"])


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(st.lists(CELLS, min_size=3, max_size=3), min_size=1, max_size=9),
    forms=st.lists(st.sampled_from(["struct", "bytes", "base64", "list"]), min_size=3, max_size=3),
    group=st.integers(1, 9),
)
def test_groups_of_any_shape_list_what_exists_in_order(
    corpus: Corpus, rows: list[list[str | None]], forms: list[str], group: int
) -> None:
    def column(form: str, cells: list[str | None]) -> pa.Array:
        if form == "struct":
            return structs(*cells)
        if form == "list":
            return pa.array([None if cell is None else [image(cell), image(cell)] for cell in cells], LISTS)
        encoded = [None if cell is None else cell.encode() for cell in cells]
        if form == "bytes":
            return pa.array(encoded, pa.binary())
        return pa.array([None if cell is None else text(cell) for cell in encoded], pa.string())

    columns = {f"image_{number}": column(form, [row[number] for row in rows]) for number, form in enumerate(forms)}
    assert read(corpus, columns, row_group_size=group) == [
        [cell.encode() for cell, form in zip(row, forms, strict=True) for _ in range(1 + (form == "list")) if cell]
        for row in rows
    ]
