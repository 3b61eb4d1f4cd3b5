"""`visdiv worklist` on a small subset with given texts."""

from __future__ import annotations

import base64
import io
import json
import shutil
from pathlib import Path

import dagster as dg
import pytest
from click.testing import Result
from PIL import Image

from visdiv_assets.curation.worklist import PROMPTS
from visdiv_assets.settings import Settings
from visdiv_assets_tests.cli.test_main import refused, visdiv
from visdiv_assets_tests.conftest import Pipeline, image, made_once
from visdiv_assets_tests.testing.small_lakes import run_stages
from visdiv_assets_tests.testing.told_rows import Told, write_told

LONG = "A red bird sits on a green branch of a tree"
#: Rows, and why each of their turns is listed.
ROWS: list[tuple[Told, list[str]]] = [
    (([image(1)], [("What?", LONG), ("Color?", "red")]), ["", "short answer"]),
    (([image(1)], [("What?", LONG)]), ["repeats another turn"]),
    (([image(2), image(3)], [("Where?", "")]), ["empty answer"]),
    (([], [("Color?", "red")]), ["short answer, repeats another turn"]),
]
LISTED = {(row, turn): why for row, (_, each) in enumerate(ROWS) for turn, why in enumerate(each) if why}


def make(folder: Path) -> None:
    write_told(folder / "source", "some", [told for told, _ in ROWS])
    stages = ("subset_images", "subset_turns", "text_quality", "text_signatures")
    run_stages(folder, subset=stages, corpus=["text_duplicates", "warehouse"])


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_once(tmp_path_factory, "worklists", make)


def run(made: Path, *arguments: str, model: str = "writer") -> Result:
    given = {"VISDIV_CLIP_MODEL": "", "VISDIV_JUDGE_MODEL": model}
    return visdiv("worklist", *arguments, source=made / "source", data=made / "data", **given)


def listed(made: Path, *arguments: str) -> dict[tuple[int, int], str]:
    ran = run(made, "--format", "json", *arguments)
    assert ran.exit_code == 0, ran.output
    records = [json.loads(line) for line in ran.stdout.splitlines()]
    return {(record["row"], record["turn"]): record["reasons"] for record in records}


def test_turns_are_listed_with_their_reasons_most_first(made: Path) -> None:
    found = listed(made)
    assert found == LISTED
    assert next(iter(found)) == (3, 0)
    assert set(listed(made, "--no-duplicates")) == {(0, 1), (2, 0), (3, 0)}
    assert listed(made, "--words", "0", "--no-duplicates") == {(2, 0): "empty answer"}
    assert list(listed(made, "--limit", "1")) == [(3, 0)]
    assert listed(made, "--subset", "other's") == {}


@pytest.mark.parametrize("task", ["rewrite", "hard_negative"])
def test_requests_hold_the_texts_and_images_of_their_turns(made: Path, tmp_path: Path, task: str) -> None:
    out = tmp_path / "work.jsonl"
    ran = run(made, "--task", task, "--out", str(out))
    assert ran.exit_code == 0, ran.output
    requests = [json.loads(line) for line in out.read_text("utf-8").splitlines()]
    assert [each["custom_id"] for each in requests] == [f"{task}/some/{row}/{turn}" for row, turn in sorted(LISTED)]
    assert {(each["method"], each["url"], each["body"]["model"]) for each in requests} == {
        ("POST", "/v1/chat/completions", "writer")
    }
    for (row, turn), request in zip(sorted(LISTED), requests, strict=True):
        images, turns = ROWS[row][0]
        text, *shown = request["body"]["messages"][1]["content"]
        lines = text["text"].splitlines()
        assert lines[0] == PROMPTS[task]  # type: ignore[index]
        assert [line for line in lines[1:] if not line.startswith("---")] == [said for said in turns[turn] if said]
        urls = [part["image_url"]["url"] for part in shown]
        opened = [Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))) for url in urls]
        assert [each.size for each in opened] == [Image.open(io.BytesIO(data)).size for data in images]


def test_requests_need_the_name_of_a_model(made: Path, tmp_path: Path) -> None:
    line = refused(run(made, "--out", str(tmp_path / "work.jsonl"), model=""))
    assert "set VISDIV_JUDGE_MODEL" in line


def test_requests_are_refused_for_rows_that_have_changed(made: Path, tmp_path: Path) -> None:
    shutil.copytree(made, tmp_path / "made")
    shutil.rmtree(tmp_path / "made" / "source")
    write_told(tmp_path / "made" / "source", "some", [ROWS[2][0]])
    settings = Settings(source=str(tmp_path / "made" / "source"), data=str(tmp_path / "made" / "data"))
    with dg.DagsterInstance.ephemeral() as instance:
        assert Pipeline(settings, instance).run("some", only=["subset_images", "subset_turns"]).success
    line = refused(run(tmp_path / "made", "--out", str(tmp_path / "work.jsonl")))
    assert "'some' has changed since" in line
    assert not (tmp_path / "work.jsonl").exists()
