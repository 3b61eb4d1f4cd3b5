from __future__ import annotations

import json
import math
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from visdiv_assets.errors import VisdivError
from visdiv_assets.sources import COLUMNS, CRITERIA, SCHEMA, Kind
from visdiv_assets_tests.sources.conftest import Corpus, plain_rows

IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
TEXTS = pa.array([[{"user": "u", "assistant": "a"}]], SCHEMA.field("texts").type)


def table(**columns: Any) -> pa.Table:
    """One row with texts, and the columns given."""
    return pa.table({"texts": TEXTS, **columns})


def one(values: list[Any], kind: pa.DataType) -> pa.Array:
    return pa.array([values], kind)


def test_a_subset_without_images_is_refused_with_its_columns(corpus: Corpus) -> None:
    rows = pa.Table.from_pylist(plain_rows(3), SCHEMA).drop_columns(["images"])
    file = corpus.write(rows.append_column("extra", pa.array([1, 2, 3])))
    for columns in (COLUMNS, ["source"]):
        with pytest.raises(VisdivError, match=rf"{file.name} lacks a column of images .*; columns found: .*extra"):
            corpus.read(columns=columns)


def test_a_subset_needs_no_texts(corpus: Corpus) -> None:
    rows = pa.Table.from_pylist(plain_rows(4), SCHEMA)
    corpus.write(rows.drop_columns(["texts"]))
    assert corpus.read() == [{**row, "texts": None} for row in plain_rows(4)]


@pytest.mark.parametrize("column", ["image", "decoded_image", "image_0", "images"])
def test_a_subset_may_keep_its_images_as_other_data_sets_do(corpus: Corpus, column: str) -> None:
    images = pa.array([{"bytes": b"x", "path": None}, None], IMAGE)
    corpus.write(pa.table({column: images, "caption": ["a cat", "a dog"]}))
    rows = corpus.read()
    assert [row["images"] for row in rows] == [[{"bytes": b"x", "path": None}], []]
    assert {row[name] for row in rows for name in COLUMNS if name != "images"} == {None}


def test_other_columns_of_other_data_sets_may_mean_anything(corpus: Corpus) -> None:
    corpus.write(pa.table({"image": pa.array([b"x"]), "source": pa.array([7]), "texts": pa.array(["free text"])}))
    assert [(row["source"], row["texts"]) for row in corpus.read()] == [(None, None)]


DECLARED = {"_type": "Image"}


def declaring(content: pa.Table, features: Any) -> pa.Table:
    """The table with features in the metadata of its schema, as `datasets` writes them."""
    return content.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})


@pytest.mark.parametrize(
    "feature",
    [
        [DECLARED],
        {"_type": "List", "feature": DECLARED},
        {"_type": "LargeList", "feature": DECLARED},
        {"_type": "Sequence", "feature": DECLARED, "length": -1},
    ],
)
def test_lists_declared_as_images_are_found_under_any_name(corpus: Corpus, feature: Any) -> None:
    images = pa.array([[{"bytes": b"x", "path": None}] * 2, None], pa.list_(IMAGE))
    corpus.write(declaring(pa.table({"scans": images, "images": [2, 0]}), {"scans": feature}))
    assert [row["images"] for row in corpus.read()] == [[{"bytes": b"x", "path": None}] * 2, []]


def test_declared_columns_are_preferred_to_known_names(corpus: Corpus) -> None:
    def column(content: bytes) -> pa.Array:
        return pa.array([{"bytes": content, "path": None}], IMAGE)

    both = pa.table({"image": column(b"known"), "photo": column(b"first"), "scan": column(b"second")})
    corpus.write(declaring(both, {"scan": DECLARED, "photo": DECLARED, "image": {"_type": "Value"}}), "unknown")
    corpus.write(declaring(both, {"scan": DECLARED, "photo": DECLARED, "image": DECLARED}), "known")
    images = {name: [image["bytes"] for image in corpus.read(name)[0]["images"]] for name in ("unknown", "known")}
    assert images == {"unknown": [b"first", b"second"], "known": [b"known"]}


def test_texts_of_a_file_that_declares_other_images_are_optional(corpus: Corpus) -> None:
    photo = pa.array([{"bytes": b"x", "path": None}], IMAGE)
    corpus.write(declaring(pa.table({"photo": photo, "images": [1], "texts": ["free text"]}), {"photo": DECLARED}))
    assert corpus.read(columns=["images", "texts"]) == [{"images": [{"bytes": b"x", "path": None}], "texts": None}]


@pytest.mark.parametrize("metadata", ["nothing", "[]", '{"info": null}', '{"info": {"features": [1]}}', b"\xff"])
def test_metadata_that_declare_nothing_are_ignored(corpus: Corpus, metadata: Any) -> None:
    corpus.write(pa.table({"image": [b"x"]}).replace_schema_metadata({"huggingface": metadata}))
    assert [image["bytes"] for image in corpus.read()[0]["images"]] == [b"x"]


def test_a_declared_column_of_another_type_is_skipped(corpus: Corpus) -> None:
    corpus.write(declaring(pa.table({"photo": [1], "image": [b"x"]}), {"photo": DECLARED}))
    assert [image["bytes"] for image in corpus.read()[0]["images"]] == [b"x"]


def test_a_long_list_of_columns_is_cut(corpus: Corpus) -> None:
    corpus.write(table(**{f"c{number}": pa.array([1]) for number in range(100)}))
    with pytest.raises(VisdivError, match="and 71 more") as caught:
        corpus.read()
    assert "c99" not in str(caught.value)


def test_missing_ratings_and_source_become_nulls(corpus: Corpus) -> None:
    corpus.write(pa.Table.from_pylist(plain_rows(5), SCHEMA).select(["images", "texts"]), row_group_size=2)
    absent = [column for column in COLUMNS if column not in ("images", "texts")]
    assert [[row[column] for column in absent] for row in corpus.read()] == [[None] * len(absent)] * 5
    assert corpus.read(columns=["source"], batch_rows=2) == [{"source": None}] * 5


@pytest.mark.parametrize(
    ("column", "array"),
    [
        ("images", pa.array([1])),
        ("images", one([1], pa.list_(pa.int64()))),
        ("images", one([{"bytes": "x"}], pa.list_(pa.struct([("bytes", pa.string())])))),
    ],
)
def test_images_of_the_wrong_type_are_named_with_both_types(corpus: Corpus, column: str, array: pa.Array) -> None:
    content = table(images=one([], SCHEMA.field("images").type))
    content = content.drop_columns([column]) if column in content.column_names else content
    file = corpus.write(content.append_column(column, array).slice(0, 0))
    with pytest.raises(VisdivError) as caught:
        corpus.read()
    message = str(caught.value)
    assert message.startswith(f"{file}: column '{column}' is {str(array.type).split('<')[0]}")
    assert f"cannot be read as {SCHEMA.field(column).type}" in message


@pytest.mark.parametrize(
    ("column", "array"),
    [
        ("texts", pa.array([7])),
        ("texts", one([{"user": "u"}], pa.list_(pa.struct([("user", pa.string())])))),
        ("texts", one(["u"], pa.list_(pa.string()))),
        ("source", pa.array([5])),
        ("relevance_ratings", pa.array([5])),
        ("relevance_ratings", pa.array(["5"])),
        ("formatting_ratings", one(["5"], pa.list_(pa.string()))),
    ],
)
def test_other_columns_of_the_wrong_type_are_null(corpus: Corpus, column: str, array: pa.Array) -> None:
    content = table(images=one([], SCHEMA.field("images").type))
    content = content.drop_columns([column]) if column in content.column_names else content
    corpus.write(content.append_column(column, array))
    assert corpus.read(columns=[column, "unread"]) == [{column: None, "unread": 1}]
    taken = corpus.open().columns_taken(Kind.SUBSET, "some")
    ((named, reason),) = taken.wrong
    assert named == column
    assert reason.startswith(f"{column} is {str(array.type).partition('<')[0]}")


@pytest.mark.parametrize("rating", [3.5, math.inf, 1e30])
def test_a_rating_that_is_no_whole_number_is_null(corpus: Corpus, rating: float) -> None:
    ratings = pa.array([[4.0, rating], [rating], None, [3.0, None, math.nan]])
    images = pa.array([[]] * 4, SCHEMA.field("images").type)
    corpus.write(pa.table({"images": images, "relevance_ratings": ratings}))
    rows = corpus.read(columns=["relevance_ratings", "unread"])
    assert [row["relevance_ratings"] for row in rows] == [[4, None], [None], None, [3, None, None]]
    assert [row["unread"] for row in rows] == [1, 1, 0, 0]


def broken(*values: bytes) -> pa.Array:
    """A column of strings that need not be UTF-8."""
    return pa.Array.from_buffers(pa.string(), len(values), pa.array(values, pa.binary()).buffers())


def test_texts_that_are_not_utf8_are_null_and_counted(corpus: Corpus) -> None:
    users = broken(b"one", b"\xff\xfe", b"three")
    turns = pa.StructArray.from_arrays([users, pa.array(["a", "b", "c"])], ["user", "assistant"])
    texts = pa.ListArray.from_arrays([0, 2, 3], turns)
    images = pa.array([[]] * 2, SCHEMA.field("images").type)
    corpus.write(pa.table({"images": images, "texts": texts, "source": broken(b"\xff", b"s")}))
    first, second = corpus.read(columns=["texts", "source", "unread", "strings"])
    assert first["texts"] == [{"user": "one", "assistant": "a"}, {"user": None, "assistant": "b"}]
    assert (first["source"], first["unread"], first["strings"]) == (None, 1, ["one", "a", "b"])
    assert (second["source"], second["unread"]) == ("s", 0)


def test_images_beside_text_that_is_not_utf8_are_read(corpus: Corpus) -> None:
    entries = pa.StructArray.from_arrays([pa.array([b"x", b"y"]), broken(b"\xff", b"p")], ["bytes", "path"])
    corpus.write(pa.table({"image": entries}))
    assert [row["images"] for row in corpus.read()] == [
        [{"bytes": b"x", "path": None}],
        [{"bytes": b"y", "path": "p"}],
    ]
    corpus.write(pa.table({"image": broken(b"\xff", b"a.png")}), "paths")
    assert [row["images"] for row in corpus.read("paths")] == [[], [{"bytes": None, "path": "a.png"}]]


def test_a_duplicate_column_is_an_error(corpus: Corpus) -> None:
    images = one([], SCHEMA.field("images").type)
    corpus.write(pa.Table.from_arrays([images, TEXTS, images], names=["images", "texts", "images"]))
    with pytest.raises(VisdivError, match="has the column 'images' more than once"):
        corpus.read()


def test_float_ratings_lose_their_nan(corpus: Corpus) -> None:
    for number, kind in enumerate((pa.float32(), pa.float64())):
        ratings = one([4.0, math.nan, None, 1.0], pa.list_(kind))
        corpus.write(table(images=one([], SCHEMA.field("images").type), formatting_ratings=ratings), f"some{number}")
        assert corpus.read(f"some{number}")[0]["formatting_ratings"] == [4, None, None, 1]


def test_null_rows_entries_and_fields(corpus: Corpus) -> None:
    corpus.write(
        [
            {"images": None, "texts": None},
            {"images": [], "texts": []},
            {"images": [None, {"bytes": None, "path": "only/a/path.png"}], "texts": [None, {"user": "u"}]},
        ]
    )
    rows = corpus.read(columns=["images", "texts"])
    assert rows[0] == {"images": [], "texts": None}
    assert rows[1] == {"images": [], "texts": []}
    assert rows[2] == {
        "images": [{"bytes": None, "path": None}, {"bytes": None, "path": "only/a/path.png"}],
        "texts": [{"user": None, "assistant": None}, {"user": "u", "assistant": None}],
    }


def test_columns_of_nulls_are_read_whatever_their_type(corpus: Corpus) -> None:
    nothing = pa.nulls(3)
    empty = pa.array([[], None, [None]], pa.list_(pa.null()))
    corpus.write(pa.table({"images": empty, "texts": empty, "source": nothing, "relevance_ratings": empty}))
    rows = corpus.read()
    assert [row["images"] for row in rows] == [[], [], [{"bytes": None, "path": None}]]
    assert [row["relevance_ratings"] for row in rows] == [[], None, [None]]
    assert [row["source"] for row in rows] == [None] * 3
    corpus.write(pa.table({"images": nothing, "texts": nothing}))
    assert [(row["images"], row["texts"]) for row in corpus.read()] == [([], None)] * 3


def test_rows_with_very_many_images(corpus: Corpus) -> None:
    images = [{"bytes": str(number).encode(), "path": None} for number in range(5000)]
    corpus.write([{"images": images, "texts": []}, {"images": images[:1], "texts": []}])
    assert [row["images"] for row in corpus.read()] == [images, images[:1]]
    assert corpus.open().fetch(Kind.SUBSET, "some", [(0, 4999), (1, 0)]) == [b"4999", b"0"]


def image_types(*, views: bool) -> st.SearchStrategy[pa.DataType]:
    """Physical types that an image may have; a struct's fields may come in any order, and be more."""
    binary = st.sampled_from([pa.binary(), pa.large_binary(), *([pa.binary_view()] if views else [])])
    string = st.sampled_from([pa.string(), pa.large_string(), *([pa.string_view()] if views else [])])
    return st.one_of(
        binary,
        st.builds(lambda b: pa.struct([("bytes", b)]), binary),
        st.builds(lambda b, s: pa.struct([("bytes", b), ("path", s)]), binary, string),
        st.builds(lambda b, s: pa.struct([("path", s), ("width", pa.int32()), ("bytes", b)]), binary, string),
    )


def as_physical(image: dict[str, Any] | None, kind: pa.DataType) -> Any:
    if image is None or pa.types.is_struct(kind):
        return image and {key: image.get(key) for key in [field.name for field in kind]}
    return image["bytes"]


def as_expected(image: dict[str, Any] | None, kind: pa.DataType) -> dict[str, Any]:
    has_path = image is not None and pa.types.is_struct(kind) and "path" in [field.name for field in kind]
    return {"bytes": image and image["bytes"], "path": image["path"] if image and has_path else None}


IMAGES = st.none() | st.fixed_dictionaries(
    {"bytes": st.none() | st.binary(max_size=5), "path": st.none() | st.text(max_size=3)}
)
LISTS = st.sampled_from([pa.list_, pa.large_list])


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(st.none() | st.lists(IMAGES, max_size=4), max_size=12),
    kind=image_types(views=False),  # pyarrow cannot write lists of views
    make_list=LISTS,
    rating=st.sampled_from([pa.int8(), pa.int32(), pa.int64(), pa.uint16(), pa.float32(), pa.float64()]),
    dictionary=st.booleans(),
    batch_rows=st.integers(1, 12),
)
def test_values_are_the_same_however_columns_are_typed(
    corpus: Corpus,
    rows: list[list[dict[str, Any] | None] | None],
    kind: pa.DataType,
    make_list: Any,
    rating: pa.DataType,
    dictionary: bool,
    batch_rows: int,
) -> None:
    physical = [row and [as_physical(image, kind) for image in row] for row in rows]
    turn = pa.struct([("assistant", pa.large_string()), ("user", pa.large_string())])
    source = pa.array([str(number) for number in range(len(rows))])
    columns = {
        "images": pa.array(physical, make_list(kind)),
        "texts": pa.array([[{"user": "u", "assistant": None}]] * len(rows), make_list(turn)),
        "source": source.dictionary_encode() if dictionary else source,
        **{f"{name}_ratings": pa.array([[1, None, 5]] * len(rows), make_list(rating)) for name in CRITERIA},
    }
    corpus.write(pa.table(columns), row_group_size=5)
    for number, row in enumerate(corpus.read(batch_rows=batch_rows)):
        assert row == {
            "images": [as_expected(image, kind) for image in rows[number] or []],
            "texts": [{"user": "u", "assistant": None}],
            "source": str(number),
            **{f"{name}_ratings": [1, None, 5] for name in CRITERIA},
        }


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    stored=st.lists(IMAGES, max_size=12),
    kind=image_types(views=True),
    column=st.sampled_from(["image", "images"]),
)
def test_a_benchmark_may_hold_one_image_a_row_or_none(
    corpus: Corpus, stored: list[dict[str, Any] | None], kind: pa.DataType, column: str
) -> None:
    physical = [as_physical(image, kind) for image in stored]
    corpus.write(pa.table({"question": ["?"] * len(stored), column: pa.array(physical, kind)}), kind=Kind.BENCHMARK)
    expected = [
        [] if value is None else [as_expected(image, kind)] for value, image in zip(physical, stored, strict=True)
    ]
    assert [row["images"] for row in corpus.read(kind=Kind.BENCHMARK)] == expected
    asked = [(row, 0) for row, images in enumerate(expected) if images]
    fetched = corpus.open().fetch(Kind.BENCHMARK, "some", asked)
    assert fetched == [expected[row][0]["bytes"] for row, _ in asked]


def test_a_benchmark_may_hold_lists_of_images_in_either_column(corpus: Corpus) -> None:
    images = pa.array([[{"bytes": b"x", "path": None}], []], pa.list_(IMAGE))
    corpus.write(pa.table({"image": images}), "a", kind=Kind.BENCHMARK)
    corpus.write(pa.table({"images": images, "image": pa.array([1, 2])}), "b", kind=Kind.BENCHMARK)
    for name in ("a", "b"):
        assert [row["images"] for row in corpus.read(name, Kind.BENCHMARK)] == images.to_pylist()


def test_a_benchmarks_other_columns_may_mean_anything(corpus: Corpus) -> None:
    columns = {"image": pa.array([b"x"]), "source": pa.array([7]), "texts": pa.array(["free text"])}
    corpus.write(pa.table(columns), kind=Kind.BENCHMARK)
    (row,) = corpus.read(kind=Kind.BENCHMARK)
    assert (row["source"], row["texts"]) == (None, None)


def test_a_benchmark_without_images_is_refused(corpus: Corpus) -> None:
    file = corpus.write(pa.table({"question": ["?"]}), kind=Kind.BENCHMARK)
    with pytest.raises(
        VisdivError, match=rf"{file.name} lacks a column of images \(one of images, .*\); columns found: question"
    ):
        corpus.read(kind=Kind.BENCHMARK)
    corpus.write(pa.table({"image": [7]}), kind=Kind.BENCHMARK)
    with pytest.raises(VisdivError, match="column 'image' is int64"):
        corpus.read(kind=Kind.BENCHMARK)
