"""Settings: where their values come from, and how wrong ones are refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from visdiv_assets.duplicates.thresholds import NAMED_THRESHOLDS, PUBLISHED_THRESHOLDS, published_thresholds
from visdiv_assets.errors import ConfigError, VisdivError
from visdiv_assets.settings import (
    RENAMED,
    Settings,
    dagster_home,
    exported_variables,
    judge_key,
    load_settings,
    misspelled_variables,
    variable,
)


def refusal(environment: dict[str, str], **options: str) -> str:
    """Return the one line with which settings are refused."""
    with pytest.raises(ConfigError) as caught:
        load_settings(environment, options=options)
    (line,) = str(caught.value).splitlines()
    return line


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the working directory, which is empty."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


# Where values come from ----------------------------------------------------------------------------------------------


def test_later_sources_override_earlier_ones(folder: Path) -> None:
    assert load_settings({}) == Settings()
    (folder / "visdiv.toml").write_text('source = "file"\ndata = "file"\nthreads = 2\nclip_text_windows = true\n')
    environment = {"VISDIV_SOURCE": "variable", "VISDIV_DATA": "variable"}
    loaded = load_settings(environment, options={"source": "option", "data": None})
    assert (loaded.source, loaded.data, loaded.threads) == ("option", "variable", 2)
    assert loaded.clip_text_windows
    assert loaded.model_fields_set == {"source", "data", "threads", "clip_text_windows"}
    assert loaded.map_points == Settings().map_points


def test_a_variable_names_the_file_of_settings(folder: Path) -> None:
    (folder / "visdiv.toml").write_text("threads = 2\n")
    (folder / "mine.toml").write_text("threads = 3\n")
    assert load_settings({}).threads == 2
    assert load_settings({"VISDIV_CONFIG": "mine.toml"}).threads == 3
    assert load_settings({"VISDIV_CONFIG": ""}).threads == 0
    assert refusal({"VISDIV_CONFIG": "no.toml"}) == "invalid value for VISDIV_CONFIG: 'no.toml' (it is not a file)"


def test_settings_are_read_from_arguments_or_the_process(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VISDIV_THREADS", "7")
    assert load_settings().threads == 7
    assert load_settings({}).threads == 0
    assert Settings().threads == 0
    assert Settings(threads=3).threads == 3


def test_every_variable_sets_its_setting(folder: Path) -> None:
    for name in Settings.model_fields:
        value = getattr(Settings(), name)
        assert load_settings({variable(name): str(value)}).model_fields_set == {name}


def test_variables_of_other_programs_are_ignored(folder: Path) -> None:
    assert load_settings({"HOME": "/", "visdiv_threads": "7", "MY_VISDIV_THREADS": "7"}) == Settings()


def test_settings_are_immutable() -> None:
    settings = Settings()
    with pytest.raises(ValidationError):
        settings.threads = -1  # type: ignore[misc]
    with pytest.raises(ValidationError):
        Settings.model_validate({"thread": 1})


def test_every_setting_is_described() -> None:
    assert [name for name, field in Settings.model_fields.items() if not (field.description or "").endswith(".")] == []


# What is refused -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("VISDIV_SIMILARITY_FLOR", "VISDIV_SIMILARITY_FLOOR"),
        ("VISDIV_BATCHSIZE", "VISDIV_BATCH_SIZE"),
        ("VISDIV_source", "VISDIV_SOURCE"),
        *((variable(old), variable(new)) for old, new in RENAMED.items()),
    ],
)
def test_an_unknown_variable_is_refused_with_the_closest(typed: str, meant: str, folder: Path) -> None:
    expected = f"{typed} is not a setting: did you mean {meant}? `visdiv settings` lists them all"
    assert refusal({typed: "1"}) == expected
    assert refusal({"VISDIV_QQQQQQ": "1"}).startswith("VISDIV_QQQQQQ is not a setting")


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (
            "thread = 2",
            "thread in visdiv.toml is not a setting: did you mean threads? `visdiv settings` lists them all",
        ),
        ("max_picture_bytes = 2", "max_picture_bytes in visdiv.toml is not a setting: did you mean max_image_bytes?"),
        ("VISDIV_THREADS = 2", "VISDIV_THREADS in visdiv.toml is not a setting: did you mean "),
        ("threads = 'two'", "invalid value for threads in visdiv.toml: 'two' (Input should be a valid integer"),
        ("threads = [2]", "invalid value for threads in visdiv.toml: [2] (Input should be a valid integer"),
        ("[visdiv]\nthreads = 2", "visdiv.toml has a table [visdiv]: write the settings at the top level"),
        ("threads", "visdiv.toml is not valid TOML: "),
        ("duplicate_threshold = 0.7", "duplicate_threshold in visdiv.toml (0.7) is less than VISDIV_SIMILARITY_FLOOR "),
    ],
)
def test_a_wrong_file_is_refused_by_name(content: str, line: str, folder: Path) -> None:
    (folder / "visdiv.toml").write_text(content)
    assert refusal({}).startswith(line)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[("source", ""), ("device", "gpu"), ("device", "cuda:"), ("device", "cpu:0"), ("sscd_model", "sscd")],
        *[("threads", ""), ("threads", "-1"), ("threads", "two\nlines"), ("max_image_bytes", "1e9")],
        *[("disk_reserve_gigabytes", "nan"), ("disk_reserve_gigabytes", "inf"), ("similarity_floor", "0")],
        *[("similarity_floor", "1.01"), ("row_rule", "most"), ("drop", "duplicates"), ("drop", "duplicate,")],
    ],
)
def test_an_invalid_value_is_refused_with_its_variable(name: str, value: str, folder: Path) -> None:
    message = refusal({variable(name): value})
    assert message.startswith(f"invalid value for {variable(name)}: {value!r} (")
    assert "Value error" not in message


def test_an_invalid_option_is_refused_by_name(folder: Path) -> None:
    assert refusal({}, source="").startswith("invalid value for --source: '' (")


@pytest.mark.parametrize(
    ("name", "value"),
    [("device", "cuda:12"), ("threads", "1024"), ("similarity_floor", "1e-3"), ("drop", ""), ("unreadable_limit", "1")],
)
def test_values_at_the_limits_are_accepted(name: str, value: str, folder: Path) -> None:
    read = getattr(load_settings({variable(name): value}), name)
    assert read == (value if isinstance(read, str) else float(value))


def test_settings_that_exclude_each_other_are_named(folder: Path) -> None:
    message = refusal({"VISDIV_DUPLICATE_THRESHOLD": "0.8", "VISDIV_SIMILARITY_FLOOR": "0.9"})
    assert message.startswith("VISDIV_DUPLICATE_THRESHOLD (0.8) is less than VISDIV_SIMILARITY_FLOOR (0.9): raise ")
    both = refusal({"VISDIV_KEEP_BY": "semdedup", "VISDIV_KEEP_ROWS": "kept.parquet"})
    assert both == "VISDIV_KEEP_BY and VISDIV_KEEP_ROWS both select rows: set one of them"


def test_an_impossible_place_is_refused(folder: Path) -> None:
    assert "options after the question mark are" in refusal({"VISDIV_DATA": "s3://bucket/some?regoin=x"})
    assert "does not name a bucket" in refusal({"VISDIV_DATA": "s3://"})
    with_key = refusal({"VISDIV_DATA": "s3://key:hidden@bucket/some"})
    assert with_key.startswith("invalid value for VISDIV_DATA: s3://bucket")
    assert "hidden" not in with_key
    assert "must be a folder on a disk" in refusal({"VISDIV_LOCAL_DATA": "s3://bucket/some"})


def test_a_misspelled_prefix_is_found() -> None:
    assert misspelled_variables({"VISDEV_DATA": "x", "VISDIV_DATA": "x", "HOME": "/"}) == [
        ("VISDEV_DATA", "VISDIV_DATA")
    ]


# What follows from them ----------------------------------------------------------------------------------------------


def test_reasons_to_drop_a_row_have_their_own_order() -> None:
    assert Settings().drop_reasons == ("unreadable", "quality", "contaminated", "duplicate")
    assert Settings(drop="duplicate,unreadable").drop_reasons == ("unreadable", "duplicate")
    assert Settings(drop="").drop_reasons == ()
    assert Settings(drop="", keep_by="semdedup").drop_reasons == ("selection",)


def test_paths_are_in_the_data_folder(folder: Path) -> None:
    settings = Settings(data="some/data")
    assert settings.data_folder == folder / "some" / "data"
    assert settings.lake_root == str(folder / "some/data/lake")
    assert settings.warehouse_path == str(folder / "some/data/visdiv.duckdb")
    assert settings.weights_folder == str(folder / "some/data/weights")
    assert settings.reports_folder == folder / "some/data/reports"
    assert settings.decisions_path == str(folder / "some/data/decisions.jsonl")
    assert Settings(decisions="mine.jsonl").decisions_path == str(folder / "mine.jsonl")
    assert (settings.warehouse_copy, settings.vectors_cache) == ("", "")
    assert list(folder.iterdir()) == []
    assert Settings(data=(folder / "a b").as_uri()).lake_root == str(folder / "a b" / "lake")


def test_data_on_object_storage_has_a_local_folder(folder: Path) -> None:
    options = "?endpoint_override=127.0.0.1:9000&scheme=http"
    settings = Settings(data=f"s3://bucket/some{options}", local_data="near")
    assert settings.lake_root == f"s3://bucket/some/lake{options}"
    assert settings.warehouse_copy == f"s3://bucket/some/visdiv.duckdb{options}"
    assert settings.warehouse_path == str(folder / "near/visdiv.duckdb")
    assert settings.reports_folder == folder / "near/reports"
    assert settings.vectors_cache == str(folder / "near/vectors")
    assert dagster_home(settings, {}) == folder / "near/dagster"


def test_exported_variables_load_the_same_settings_elsewhere(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "visdiv.toml").write_text(
        'source = "corpus"\nclip_model = "clip"\nthreads = 3\nkeep_rows = "kept.parquet"\n'
    )
    (folder / "clip").mkdir()
    (folder / "elsewhere").mkdir()
    here = load_settings({}, options={"data": "results"})
    exported = exported_variables(here, {})
    monkeypatch.chdir(folder / "elsewhere")
    there = load_settings(exported)
    assert (there.source, there.data) == (str(folder / "corpus"), str(folder / "results"))
    assert (there.keep_rows, there.clip_model) == (str(folder / "kept.parquet"), str(folder / "clip"))
    assert there.threads == 3
    assert "VISDIV_CLIP_MODEL" not in exported_variables(Settings(clip_model=""), {})
    (folder / "elsewhere" / "visdiv.toml").write_text("threads = 9\n")
    remote = exported_variables(Settings(source="hf://datasets/some/corpus@main"), {"VISDIV_CONFIG": ""})
    assert (remote["VISDIV_SOURCE"], remote["VISDIV_CONFIG"]) == ("hf://datasets/some/corpus@main", "")
    assert load_settings(remote).threads == 0


def test_dagsters_state_is_in_the_data_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(data=str(folder))
    assert dagster_home(settings, {}) == dagster_home(settings, {"DAGSTER_HOME": ""}) == folder / "dagster"
    assert dagster_home(settings, {"DAGSTER_HOME": "/theirs"}) == Path("/theirs")
    monkeypatch.setenv("DAGSTER_HOME", "mine")
    assert dagster_home(settings) == folder / "mine"


def test_rates_are_published_at_the_floor_and_the_threshold() -> None:
    assert published_thresholds(0.75, 0.95) == list(PUBLISHED_THRESHOLDS)
    assert published_thresholds(0.9, 0.97) == [0.9, 0.93, 0.95, 0.97, 0.98]
    assert set(NAMED_THRESHOLDS.values()) <= set(PUBLISHED_THRESHOLDS)


def test_errors_for_users_are_one_line() -> None:
    assert str(VisdivError("one\n  two\tthree ")) == "one two three"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("JUDGE_URL", "https://user:sk-secret@host/v1"),
        ("JUDGE_URL", "https://host/v1?api-key=sk-secret"),
        ("JUDGE_URL", "sk-secret"),
        ("JUDGE_KEY_FILE", "sk-secret"),
        ("JUDGE_KEY_FILE", "env:sk-secret"),
    ],
)
def test_a_key_in_the_wrong_setting_is_not_repeated(name: str, value: str) -> None:
    with pytest.raises(ConfigError, match=f"invalid value for VISDIV_{name}: \\(it must") as caught:
        load_settings({f"VISDIV_{name}": value, "VISDIV_JUDGE_MODEL": "m", "VISDIV_CONFIG": ""})
    assert "sk-secret" not in str(caught.value)


def test_the_key_of_the_judge_is_in_a_file_or_a_variable(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("sk-1\n")
    assert judge_key("") == ""
    assert judge_key(str(file)) == "sk-1"
    assert judge_key("env:SOME_KEY", {"SOME_KEY": "sk-2"}) == "sk-2"
    file.write_text("sk-1 and more")
    for named in (str(file), "env:SOME_KEY", str(tmp_path / "none")):
        with pytest.raises(ConfigError, match="VISDIV_JUDGE_KEY_FILE names") as caught:
            judge_key(named, {})
        assert "sk-1" not in str(caught.value)
