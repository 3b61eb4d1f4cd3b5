"""Which columns of a file are read: declared, named, found by content, or set by the user."""

from __future__ import annotations

import base64
import json
from typing import Any

import pyarrow as pa
import pytest

from visdiv_assets.errors import VisdivError
from visdiv_assets.sources import Kind, Source, parquet, parquet_files
from visdiv_assets.sources import open as open_source
from visdiv_assets.sources.conform import IMAGE
from visdiv_assets.sources.interface import ColumnsTaken
from visdiv_assets.sources.reading import Reading
from visdiv_assets_tests.sources.conftest import Corpus

PNG, GIF = b"\x89PNG\r\n\x1a\n rest", b"GIF89a rest"


def opened(corpus: Corpus, **reading: Any) -> Source:
    return open_source(corpus.root, reading=Reading(**reading))


def taken(corpus: Corpus, **reading: Any) -> ColumnsTaken:
    return opened(corpus, **reading).columns_taken(Kind.SUBSET, "some")


def images(corpus: Corpus, **reading: Any) -> list[list[bytes | None]]:
    source = opened(corpus, **reading)
    (shard,) = source.shards(Kind.SUBSET, "some")
    rows = [
        row["images"]
        for batch in source.batches(Kind.SUBSET, "some", shard, columns=["images"])
        for row in batch.to_pylist()
    ]
    found = [[image["bytes"] for image in row] for row in rows]
    positions = [(row, index) for row, entries in enumerate(found) for index in range(len(entries))]
    assert source.fetch(Kind.SUBSET, "some", positions) == [found[row][index] for row, index in positions]
    return found


def struct(*contents: bytes | None, path: str | None = None) -> pa.Array:
    return pa.array([None if data is None else {"bytes": data, "path": path} for data in contents], IMAGE)


@pytest.mark.parametrize("column", ["img", "jpg", "Image", "photo", "0"])
@pytest.mark.parametrize(
    "array",
    [
        struct(PNG, None),
        pa.array([[{"bytes": PNG, "path": None}], None], pa.list_(IMAGE)),
        pa.array([PNG, None]),
        pa.array([[PNG], None], pa.list_(pa.large_binary())),
        pa.array([base64.b64encode(PNG).decode(), None]),
    ],
    ids=["struct", "list", "bytes", "list of bytes", "base64"],
)
def test_images_are_found_by_content_under_any_name(corpus: Corpus, column: str, array: pa.Array) -> None:
    corpus.write(pa.table({"id": [1, 2], "caption": ["a", "b"], "hash": [b"\1\2", b"\3"], column: array}))
    assert taken(corpus).images == (column,)
    assert images(corpus) == [[PNG], []]


def test_all_columns_with_images_are_read_side_by_side(corpus: Corpus) -> None:
    corpus.write(pa.table({"before": struct(PNG, None), "note": ["a", "b"], "after": struct(GIF, GIF)}))
    assert taken(corpus).images == ("before", "after")
    assert images(corpus) == [[PNG, GIF], [GIF]]


def test_a_file_whose_version_is_known_is_not_opened_again(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    corpus.write(pa.table({"image": struct(PNG), "note": ["a"]}))
    source = opened(corpus)
    source.digests(Kind.SUBSET, "some", {})
    for module in (parquet, parquet_files):
        monkeypatch.setattr(module, "open_file", pytest.fail)
    assert source.columns_taken(Kind.SUBSET, "some").unused == ("note",)


def test_a_struct_of_other_bytes_holds_no_images(corpus: Corpus) -> None:
    corpus.write(pa.table({"audio": struct(b"RIFF....WAVE"), "shot": struct(PNG)}))
    assert taken(corpus).images == ("shot",)


def test_a_column_of_images_may_begin_with_rows_without_bytes(corpus: Corpus) -> None:
    corpus.write(pa.table({"shot": struct(*[None] * 20, PNG)}))
    assert images(corpus)[-1] == [PNG]


def test_a_file_without_images_says_how_to_name_them(corpus: Corpus) -> None:
    corpus.write(pa.table({"id": [1], "text": ["a"], "blob": [b"none"]}))
    with pytest.raises(VisdivError, match=r"columns found: id, text, blob\. .* name it in VISDIV_IMAGE_COLUMNS"):
        corpus.read()
    assert images(corpus, image_columns=("blob",)) == [[b"none"]]


def test_columns_that_are_set_come_before_all_others(corpus: Corpus) -> None:
    features = {"info": {"features": {"image": {"_type": "Image"}}}}
    table = pa.table({"image": struct(PNG), "mask": struct(GIF)})
    corpus.write(table.replace_schema_metadata({"huggingface": json.dumps(features)}))
    assert images(corpus) == [[PNG]]
    assert images(corpus, image_columns=("mask", "image")) == [[GIF, PNG]]
    with pytest.raises(VisdivError, match=r"no column 'img', columns found: image, mask: correct VISDIV_IMAGE_COLUMNS"):
        images(corpus, image_columns=("img",))


def test_the_version_changes_with_the_columns_that_are_read(corpus: Corpus) -> None:
    corpus.write(pa.table({"image": struct(PNG), "mask": struct(GIF)}))
    default, other = (opened(corpus, image_columns=columns) for columns in ((), ("mask",)))
    assert default.observed_version(Kind.SUBSET, "some") != other.observed_version(Kind.SUBSET, "some")
    ((shard, digest),) = default.digests(Kind.SUBSET, "some", {})
    ((_, changed),) = other.digests(Kind.SUBSET, "some", {shard.fingerprint: digest})
    assert digest != changed


def turns(corpus: Corpus, array: pa.Array, column: str = "texts", **reading: Any) -> list[tuple[Any, int]]:
    """The turns of each row as pairs, and how many texts cannot be read."""
    corpus.write(pa.table({"image": struct(*[PNG] * len(array)), column: array}))
    source = opened(corpus, **reading)
    (shard,) = source.shards(Kind.SUBSET, "some")
    columns = ["texts", "unread"]
    return [
        (None if row["texts"] is None else [(turn["user"], turn["assistant"]) for turn in row["texts"]], row["unread"])
        for batch in source.batches(Kind.SUBSET, "some", shard, columns=columns)
        for row in batch.to_pylist()
    ]


FINEVISION = [{"user": "q", "assistant": "a"}, {"user": "r", "assistant": "b"}]
ROLES = [
    {"role": "system", "content": "s"},
    {"role": "user", "content": "q"},
    {"role": "assistant", "content": "a"},
    {"role": "user", "content": "r"},
    {"role": "assistant", "content": "b"},
]
SHAREGPT = [
    {"from": {"user": "human", "assistant": "gpt"}.get(m["role"], "system"), "value": m["content"]} for m in ROLES
]
PARTS = [{**m, "content": [{"type": "image", "text": None}, {"type": "text", "text": m["content"]}]} for m in ROLES]
COLUMNAR = {"role": [m["role"] for m in ROLES], "content": [m["content"] for m in ROLES]}


@pytest.mark.parametrize("column", ["texts", "conversations", "conversation", "messages"])
@pytest.mark.parametrize(
    "value",
    [FINEVISION, ROLES, SHAREGPT, PARTS, COLUMNAR, {"user": ["q", "r"], "assistant": ["a", "b"]}],
    ids=["finevision", "roles", "sharegpt", "parts", "columnar", "pairs of lists"],
)
def test_conversations_are_read_in_any_form(corpus: Corpus, column: str, value: Any) -> None:
    expected = [([("q", "a"), ("r", "b")], 0), (None, 0)]
    assert turns(corpus, pa.array([value, None]), column) == expected
    assert turns(corpus, pa.array([json.dumps(value), None]), column) == expected
    assert turns(corpus, pa.array([json.dumps({"messages": value}), None]), column) == expected


def test_questions_without_answers_and_answers_without_questions(corpus: Corpus) -> None:
    value = [{"role": who, "content": text} for who, text in (("assistant", "a"), ("user", "q"), ("user", "r"))]
    assert turns(corpus, pa.array([value, []])) == [([(None, "a"), ("q\nr", None)], 0), ([], 0)]


@pytest.mark.parametrize(
    "text",
    ["no JSON", "[1, 2]", "[" * 100_000, '[{"role": "king", "content": "x"}]', '[{"role": "user", "content": 7}]'],
    ids=["words", "numbers", "deep", "unknown role", "content"],
)
def test_a_text_that_is_no_conversation_is_null_and_counted(corpus: Corpus, text: str) -> None:
    assert turns(corpus, pa.array([text, json.dumps(FINEVISION)])) == [(None, 1), ([("q", "a"), ("r", "b")], 0)]


def test_a_column_of_captions_is_read_if_it_is_set(corpus: Corpus) -> None:
    captions = pa.array(["a cat", "", None])
    assert turns(corpus, captions, "caption") == [(None, 0)] * 3
    expected = [([(None, "a cat")], 0), ([], 0), (None, 0)]
    assert turns(corpus, captions, "caption", text_columns=("caption",)) == expected


def test_columns_of_questions_and_answers_are_read_if_they_are_set(corpus: Corpus) -> None:
    corpus.write(pa.table({"image": struct(PNG), "q": ["why"], "a": ["so"]}))
    source = opened(corpus, text_columns=("q", "a"))
    (shard,) = source.shards(Kind.SUBSET, "some")
    (batch,) = source.batches(Kind.SUBSET, "some", shard, columns=["texts"])
    assert batch.to_pylist() == [{"texts": [{"user": "why", "assistant": "so"}]}]
    with pytest.raises(VisdivError, match=r"no column 'question', .*: correct VISDIV_TEXT_COLUMNS"):
        taken(corpus, text_columns=("question", "a"))


def test_texts_that_cannot_be_read_give_way_to_conversations(corpus: Corpus) -> None:
    corpus.write(pa.table({"image": struct(PNG), "texts": [7], "conversations": [ROLES]}))
    assert taken(corpus).texts == ("conversations",)
    assert taken(corpus).wrong == ()
