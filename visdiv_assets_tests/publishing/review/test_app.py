"""What the server of `visdiv review` answers, to whom, and what it saves."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from PIL import Image
from starlette.testclient import TestClient

from visdiv_assets.corpus.image_lookup import ImageReader
from visdiv_assets.imaging.limits import DEFAULT_LIMITS
from visdiv_assets.publishing.review.app import Review, build_app
from visdiv_assets.publishing.review.marks import Marks
from visdiv_assets.publishing.review.pair_images import PairImages
from visdiv_assets.publishing.review.pair_index import PairIndex
from visdiv_assets.sources import Kind, Source
from visdiv_assets.storage.lake import Lake
from visdiv_assets_tests.publishing.review.lakes import Images

TOKEN = "a-token"
ADDRESS = "http://127.0.0.1:3001"
DATA = ["/api/start", "/api/pairs", "/api/pairs/1", "/api/pairs/1/left"]


@pytest.fixture
def source() -> Images:
    return Images()


@pytest.fixture
def client(lake: Lake, index: PairIndex, decisions: Path, source: Images) -> Iterator[TestClient]:
    read_from = cast(Source, source)
    reader = ImageReader(lake, lambda: read_from, DEFAULT_LIMITS)
    marks = Marks(decisions, index, "kim")
    review = Review(index, marks, PairImages(read_from, DEFAULT_LIMITS), reader, "source")
    with TestClient(build_app(review, TOKEN), ADDRESS, headers={"X-Visdiv-Token": TOKEN}) as client:
        yield client


def saved(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@pytest.mark.parametrize("path", DATA)
@pytest.mark.parametrize("token", ["", "a-toke", "a-token-", "A-TOKEN"])
def test_data_are_sent_to_who_knows_the_token(client: TestClient, path: str, token: str) -> None:
    assert client.get(path).status_code == 200
    refused = client.get(path, headers={"X-Visdiv-Token": token})
    assert (refused.status_code, refused.text) == (401, "open the address that `visdiv review` printed\n")
    assert client.get(f"{path}?token={TOKEN}", headers={"X-Visdiv-Token": token}).status_code == 401


def test_a_decision_needs_the_token(client: TestClient, decisions: Path) -> None:
    refused = client.post("/api/pairs/1/mark", json={"decision": "wrong"}, headers={"X-Visdiv-Token": "x"})
    assert (refused.status_code, saved(decisions)) == (401, [])


@pytest.mark.parametrize(
    "headers", [{"Host": "evil.example"}, {"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"}]
)
@pytest.mark.parametrize("path", ["/", "/api/pairs/1"])
def test_pages_of_other_servers_are_refused(client: TestClient, headers: dict[str, str], path: str) -> None:
    assert client.get(path, headers=headers).status_code == 403


def test_the_page_itself_holds_no_data_and_loads_nothing_else(client: TestClient) -> None:
    page = client.get("/", headers={"X-Visdiv-Token": ""})
    assert page.status_code == 200
    assert "charts" not in page.text
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert page.headers["x-content-type-options"] == "nosniff"
    assert "http" not in page.text


@pytest.mark.parametrize("path", [*DATA, "/api/pairs/1/mark", "/api/pairs/1/mark?decision=wrong"])
def test_a_get_changes_nothing(client: TestClient, decisions: Path, path: str) -> None:
    client.get(path)
    assert not decisions.exists()


@pytest.mark.parametrize(
    "path",
    [
        "/api/pairs/0",
        "/api/pairs/7",
        "/api/pairs/99999999999999999999999",
        "/api/pairs/-1",
        "/api/pairs/1/../../../etc/passwd",
        "/api/pairs/1/%2e%2e%2fsource",
        "/%2e%2e/page.css",
        "/template/page.css",
        "/api/pairs/1/other",
    ],
)
def test_nothing_else_has_an_address(client: TestClient, path: str) -> None:
    assert client.get(path).status_code == 404


@pytest.mark.parametrize(
    "body",
    [
        "",
        "{",
        "[]",
        "null",
        '"wrong"',
        "{}",
        '{"decision": "maybe"}',
        '{"decision": ["wrong"]}',
        '{"decision": "wrong", "sample": -1}',
        '{"decision": "wrong", "sample": true}',
        '{"decision": "wrong", "image_id_a": "00"}',
        "[" * 4000,
    ],
)
def test_a_body_that_is_no_decision_is_refused(client: TestClient, decisions: Path, body: str) -> None:
    answer = client.post("/api/pairs/1/mark", content=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, saved(decisions)) == (400, [])


@pytest.mark.parametrize(
    ("body", "media_type", "status"),
    [("x" * 5000, "application/json", 413), ('{"decision": "wrong"}', "text/plain", 415)],
)
def test_a_body_is_short_json(client: TestClient, decisions: Path, body: str, media_type: str, status: int) -> None:
    answer = client.post("/api/pairs/1/mark", content=body, headers={"Content-Type": media_type})
    assert (answer.status_code, saved(decisions)) == (status, [])


@pytest.mark.parametrize("number", range(1, 7))
def test_a_decision_is_saved_with_what_was_shown(client: TestClient, decisions: Path, number: int) -> None:
    answer = client.post(f"/api/pairs/{number}/mark", json={"decision": "wrong"})
    assert (answer.status_code, answer.json()["mark"]) == (200, "wrong")
    shown = client.get(f"/api/pairs/{number}").json()
    (line,) = saved(decisions)
    assert (line["decision"], line["decided_by"], line["verdict"]) == ("wrong", "kim", shown["verdict"])
    assert line["image_id_a"] <= line["image_id_b"]
    sides = {(line[f"subset_{side}"], line[f"row_{side}"], line[f"image_id_{side}"]) for side in "ab"}
    assert sides == {(shown[side]["name"], shown[side]["row"], shown[side]["image_id"]) for side in ("left", "right")}
    assert shown["mark"] == "wrong"


def test_only_pairs_of_the_sample_are_marked_as_sampled(client: TestClient, decisions: Path) -> None:
    for number in (1, 2):
        client.post(f"/api/pairs/{number}/mark", json={"decision": "right", "sample": 40})
    # The first one is undecided, and so in no sample of confirmed pairs.
    assert [line["sampled"] for line in saved(decisions)] == [False, True]


def test_a_slice_says_how_far_the_review_is(client: TestClient) -> None:
    client.post("/api/pairs/1/mark", json={"decision": "right"})
    found = client.get("/api/pairs", params={"start": "unmarked", "limit": 2}).json()
    assert [pair["number"] for pair in found["pairs"]] == [2, 3]
    assert (found["first"], found["listed"], found["progress"]["marked"]) == (2, 4, 1)


def test_a_wrong_filter_is_explained(client: TestClient) -> None:
    answer = client.get("/api/pairs?verdict=maybe")
    assert (answer.status_code, answer.text) == (400, "verdict must be one of undecided, confirmed, rejected\n")


def test_texts_and_files_of_both_rows_are_shown(client: TestClient) -> None:
    (leak,) = [pair for pair in map(client.get, ("/api/pairs/5", "/api/pairs/6")) if "identical" in pair.text]
    shown = leak.json()
    assert shown["left"]["texts"] == [{"question": "question 0", "answer": "<b>answer 0</b>"}]
    assert shown["right"]["texts"] == [{"": "text 1"}, {"": "B"}]
    assert (shown["right"]["kind"], shown["right"]["file"], shown["right"]["row_in_file"]) == (
        "benchmark",
        "bench.parquet",
        1,
    )


@pytest.mark.parametrize("view", ["left", "right", "aligned", "marked"])
def test_images_are_encoded_again(client: TestClient, source: Images, view: str) -> None:
    answer = client.get(f"/api/pairs/3/{view}")
    assert answer.headers["content-type"] == "image/png"
    assert Image.open(io.BytesIO(answer.content)).size == (64, 64)
    assert answer.content not in [data for images in source.images.values() for data in images]


def test_an_image_is_fetched_once(client: TestClient, source: Images) -> None:
    for view in ("left", "right", "aligned", "left"):
        assert client.get(f"/api/pairs/3/{view}").status_code == 200
    assert source.fetched == 2


def test_a_pair_without_an_alignment_says_so(client: TestClient) -> None:
    answer = client.get("/api/pairs/1/aligned")
    assert (answer.status_code, answer.text) == (422, "no alignment of the two images was found\n")


def test_bytes_that_have_changed_are_not_shown(client: TestClient, source: Images) -> None:
    for images in source.images.values():
        images[:] = [b"<html><script>alert(1)</script>"] * len(images)
    answer = client.get("/api/pairs/3/left")
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert "has changed since" in answer.text


def test_a_row_without_bytes_says_so(client: TestClient, source: Images) -> None:
    source.images[Kind.SUBSET, "charts"][:] = [None] * 3  # type: ignore[list-item]
    assert "without its bytes" in client.get("/api/pairs/3/left").text
