"""What the server of `visdiv search --serve` answers, and to whom."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from visdiv_assets.cli.search import open_finder, why_no_words
from visdiv_assets.publishing.search.app import MAX_BODY, Search, build_app
from visdiv_assets.settings import Settings
from visdiv_assets_tests.cli.test_search import SUBSETS, make
from visdiv_assets_tests.conftest import image, made_once, near_copy

TOKEN = "a-token"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_once(tmp_path_factory, "searching", make)


@pytest.fixture
def settings(made: Path) -> Settings:
    return Settings(source=str(made / "source"), data=str(made / "data"), clip_model=str(made / "clip"), device="cpu")


def client_of(settings: Settings) -> TestClient:
    finder = open_finder(settings)
    search = Search(finder, Path(settings.warehouse_path), "made up", lambda: why_no_words(settings, finder))
    return TestClient(build_app(search, TOKEN), "http://127.0.0.1:3002", headers={"X-Visdiv-Token": TOKEN})


@pytest.fixture
def client(settings: Settings) -> Iterator[TestClient]:
    with client_of(settings) as client:
        yield client


def encoded(data: bytes, weight: float = 1) -> dict[str, Any]:
    return {"weight": weight, "image": base64.b64encode(data).decode()}


def find(client: TestClient, *queries: dict[str, Any], by: str = "sscd", **more: Any) -> list[dict[str, Any]]:
    answer = client.post("/api/search", json={"by": by, "count": 20, "queries": queries, **more})
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["matches"]
    return found


def places(found: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(each["subset"], each["position"].partition(",")[0]) for each in found]


def test_an_image_finds_its_copy_with_its_thumbnail_and_text(client: TestClient) -> None:
    first, *others = find(client, encoded(near_copy(6)))
    assert places([first]) == [("geoqa+(x)", "row 1")]
    assert first["text"].startswith("question 0")
    assert base64.b64decode(first["webp"])[8:12] == b"WEBP"
    assert len(others) == sum(map(len, SUBSETS.values())) - 1


def test_more_like_these_and_not_those(client: TestClient) -> None:
    one, two = (find(client, encoded(image(seed)), count=1)[0] for seed in (1, 2))

    def like(match: dict[str, Any], weight: float) -> dict[str, Any]:
        return {"weight": weight, "subset": match["subset"], "image_id": match["image_id"]}

    assert find(client, like(one, 1))[0]["image_id"] == one["image_id"]
    both = [each["image_id"] for each in find(client, like(one, 1), like(two, 0.9))[:2]]
    assert both == [one["image_id"], two["image_id"]]
    assert find(client, like(one, 1), like(two, -0.5))[-1]["image_id"] == two["image_id"]


def test_words_and_images_go_together_by_clip(client: TestClient) -> None:
    found = find(client, {"weight": 1, "text": "the"}, encoded(image(2), 20), by="clip")
    assert places(found)[0] == ("birds", "row 1")


def test_a_subset_and_conditions_limit_what_is_found(client: TestClient) -> None:
    asked = encoded(image(1))
    assert {each["subset"] for each in find(client, asked, subsets=["geoqa+(x)"])} == {"geoqa+(x)"}
    everything = find(client, asked)
    assert find(client, asked, conditions=[["images.width", "at least", 64]]) == everything
    assert find(client, asked, conditions=[["images.width", "at least", 65]]) == []
    assert find(client, asked, conditions=[["images.format", "is", "png"], ["rows.kept", "is", True]]) == everything
    assert find(client, asked, conditions=[["rows.reason", "is", "duplicate"]]) == []
    assert find(client, asked, conditions=[["images.file", "contains", "' OR true --"]]) == []


def test_the_page_learns_what_can_be_asked(client: TestClient) -> None:
    start = client.get("/api/start").json()
    assert (start["title"], start["subsets"], start["no_words"]) == ("made up", sorted(SUBSETS), "")
    assert start["models"] == {"clip": True, "sscd": True}
    (reason,) = [field for field in start["fields"] if field["name"] == "rows.reason"]
    assert (reason["kind"], reason["operators"]) == ("choice", ["is", "is not"])
    assert "duplicate" in reason["values"]


def test_without_clip_weights_one_line_says_so(settings: Settings) -> None:
    without = settings.model_copy(update={"clip_model": ""})
    with client_of(without) as client:
        line = client.get("/api/start").json()["no_words"]
        assert line == "Words cannot be searched for, since no CLIP weights: VISDIV_CLIP_MODEL is empty. Images can."
        assert len(find(client, encoded(image(1)))) == 7
        asked = {"by": "clip", "count": 5, "queries": [{"weight": 1, "text": "a bird"}]}
        refused = client.post("/api/search", json=asked)
        assert (refused.status_code, refused.text) == (500, "no CLIP weights: VISDIV_CLIP_MODEL is empty\n")


def test_without_a_duckdb_file_there_are_no_conditions(settings: Settings, tmp_path: Path) -> None:
    finder = open_finder(settings)
    search = Search(finder, tmp_path / "none.duckdb", "made up", lambda: "")
    with TestClient(build_app(search, TOKEN), "http://127.0.0.1", headers={"X-Visdiv-Token": TOKEN}) as client:
        assert client.get("/api/start").json()["fields"] == []


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"queries": []}, "queries must be a list of 1 to 50"),
        ({"queries": [{"weight": 1, "text": " "}]}, "a query must have a text"),
        ({"queries": [{"weight": "1", "text": "x"}]}, "a query must have a weight"),
        ({"queries": [{"weight": 1, "text": "x", "image": ""}]}, "a query must have a text"),
        ({"queries": [{"weight": 1, "image": "*"}]}, "the image is not Base64"),
        ({"queries": [{"weight": 1, "subset": "birds", "image_id": "0" * 32}]}, "holds no vector of image"),
        ({"queries": [{"weight": 1, "image": "/etc/passwd"}]}, "the image is not Base64"),
        ({"by": "other"}, "by must be one of clip, sscd"),
        ({"count": 0}, "count must be a number from 1 to 300"),
        ({"subsets": "birds"}, "subsets must be a list of names"),
        ({"conditions": [["images.width; DROP", "is", 1]]}, "a condition must be a list of a known column"),
        ({"conditions": [["images.width", "contains", 1]]}, "images.width can be at least or at most or equal to"),
        ({"conditions": [["images.width", "at least", "1"]]}, "images.width is compared with a number"),
        ({"conditions": [[["images.width"], "is", 1]]}, "a condition must be a list of a known column"),
        ({"conditions": [["images.width", ["is"], 1]]}, "a condition must be a list of a known column"),
        ({"by": ["sscd"]}, "by must be one of"),
        ({"conditions": [["rows.reason", "is", "none of them"]]}, "rows.reason is compared with a choice"),
        ({"more": 1}, "a search has no more"),
    ],
)
def test_an_invalid_search_is_refused_in_one_line(client: TestClient, change: dict[str, Any], line: str) -> None:
    body = {"by": "sscd", "count": 5, "queries": [encoded(image(1))], **change}
    answer = client.post("/api/search", json=body)
    assert answer.status_code == 400
    assert line in answer.text
    assert answer.text.count("\n") == 1


def test_bytes_that_are_no_image_are_refused(client: TestClient) -> None:
    answer = client.post("/api/search", json={"by": "sscd", "count": 5, "queries": [encoded(b"broken")]})
    assert "the image cannot be read as an image" in answer.text


def test_searches_need_the_token_and_a_post(client: TestClient) -> None:
    body = {"by": "sscd", "count": 5, "queries": [encoded(image(1))]}
    for path, ask in (("/api/start", client.get), ("/api/search", client.post)):
        refused = ask(path, headers={"X-Visdiv-Token": "other"})
        assert (refused.status_code, refused.text) == (401, "open the address that `visdiv search --serve` printed\n")
    assert client.get("/api/search").status_code == 405
    assert client.post("/api/search", json=body, headers={"Origin": "http://evil.example"}).status_code == 403
    assert client.post("/api/search", json=body, headers={"Host": "evil.example"}).status_code == 403
    assert client.post("/api/search", content="{}", headers={"Content-Type": "text/plain"}).status_code == 415
    long = b'{"by": "' + b"x" * MAX_BODY + b'"}'
    assert client.post("/api/search", content=long, headers={"Content-Type": "application/json"}).status_code == 413


def test_the_page_holds_no_data_and_loads_nothing_else(client: TestClient) -> None:
    page = client.get("/", headers={"X-Visdiv-Token": ""})
    assert page.status_code == 200
    assert "birds" not in page.text
    assert "http" not in page.text
    assert "unsafe" not in page.headers["content-security-policy"]
    for path in ("/page.css", "/search.css", "/server.js", "/search.js"):
        assert client.get(path, headers={"X-Visdiv-Token": ""}).status_code == 200
