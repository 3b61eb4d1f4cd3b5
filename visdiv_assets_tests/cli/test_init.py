"""`visdiv init`: a file with all settings that changes nothing when it is read."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from visdiv_assets.cli.init import settings_file
from visdiv_assets.cli.setting_facts import setting_facts
from visdiv_assets.settings import PROFILES, Settings, load_settings
from visdiv_assets_tests.cli.test_main import refused, visdiv


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the working directory, which is empty."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_file_shows_every_setting_with_its_default_and_unit() -> None:
    text, written = settings_file(Settings())
    assert written == []
    assert tomllib.loads(text) == {}
    paragraphs = text.split("\n\n")
    for facts, paragraph in zip(setting_facts(), paragraphs[1:], strict=True):
        words = " ".join(paragraph.replace("\n# ", " ").split())
        assert facts.meaning in words
        assert f"Variable: {facts.variable}." in words
        assert f"Unit: {facts.unit}." in words or not facts.unit
        assert facts.values
        (line,) = paragraph.strip().splitlines()[-1:]
        assert tomllib.loads(line.removeprefix("# ")) == {facts.name: facts.default}
    assert 'Value: "crop" | "pad" | "squash".' in text
    assert "Value: a number > 0 and <= 1. Unit: cosine. Default: 0.75." in text


def test_every_number_has_a_unit() -> None:
    assert [facts.name for facts in setting_facts() if facts.values.startswith(("a number", "a whole"))] == [
        facts.name for facts in setting_facts() if facts.unit
    ]


def test_reading_the_file_changes_nothing(folder: Path) -> None:
    source = 'a "b" \\ é \U0001f600\x7f'
    given = {"VISDIV_THREADS": "3", "VISDIV_REGIONS": "true", "VISDIV_DROP": "", "VISDIV_CLIP_FLOOR": "0.95"}
    result = visdiv("init", "--source", source, source="x", data="found", **given)
    assert result.exit_code == 0, result.output
    expected = Settings(source=source, data="found", threads=3, regions=True, drop="", clip_floor=0.95, device="cpu")
    assert load_settings({}) == expected
    first = (folder / "visdiv.toml").read_bytes()
    again = visdiv("init", "--force", "--source", source, data="found")
    assert again.exit_code == 0, again.output
    assert (folder / "visdiv.toml").read_bytes() == first
    assert list(folder.iterdir()) == [folder / "visdiv.toml"]


def test_a_present_file_is_not_replaced_without_force(folder: Path) -> None:
    (folder / "visdiv.toml").write_text("threads = 2\n")
    assert refused(visdiv("init")).startswith("visdiv.toml exists already: give --force")
    assert (folder / "visdiv.toml").read_text() == "threads = 2\n"


def test_passwords_are_not_written(folder: Path) -> None:
    visdiv("init", "other.toml", source="s3://key:hidden0hidden0@bucket/p")
    text = (folder / "other.toml").read_text()
    assert "hidden0" not in text
    assert "has a password or token" in text


def test_another_file_is_named_as_one_that_is_not_read_yet(folder: Path) -> None:
    assert f"if the variable VISDIV_CONFIG is {folder / 'other.toml'}" in visdiv("init", "other.toml").output


def test_a_source_that_is_no_folder_is_named(folder: Path) -> None:
    (folder / "file.png").write_bytes(b"")
    for source, named in (("nowhere", True), ("file.png", True), (".", False), ("hf://datasets/a/b", False)):
        written = visdiv("init", "--force", source=source)
        assert written.exit_code == 0, written.output
        assert (f"The source {source} is not a folder" in written.output) is named


@pytest.mark.parametrize("name", list(PROFILES))
def test_a_profile_sets_what_it_says(folder: Path, name: str) -> None:
    visdiv("init", "--profile", name)
    loaded = load_settings({})
    assert {setting: getattr(loaded, setting) for setting in PROFILES[name]} == PROFILES[name]


def test_profiles_add_up_and_override_what_is_set(folder: Path) -> None:
    (folder / "visdiv.toml").write_text('quality_rule = "turn"\nsplit = "test"\n')
    visdiv("init", "--force", "--profile", "gpus", "--profile", "blog-quality")
    loaded = load_settings({})
    found = (loaded.split, loaded.device, loaded.quality_thresholds, loaded.quality_rule)
    assert found == ("test", "cuda:all", "blog", "row")
