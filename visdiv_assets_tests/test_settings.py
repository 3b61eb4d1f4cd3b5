"""Every knob: its default, its variable, and what happens when it is mistyped or impossible."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from visdiv_assets.duplicates.thresholds import NAMED_THRESHOLDS, PUBLISHED_THRESHOLDS, published_thresholds
from visdiv_assets.errors import VisdivError
from visdiv_assets.settings import PREFIX, Settings, absolute_paths, dagster_home, load_settings, variable

#: A value other than the default for every setting: as the environment holds it, and as it is read.
OTHER_VALUES: dict[str, tuple[str, Any]] = {
    "source": ("/corpora/some", "/corpora/some"),
    "data": ("elsewhere", "elsewhere"),
    "local_data": ("here", "here"),
    "vector_cache_gigabytes": ("7.5", 7.5),
    "benchmark_catalog": ("mine.csv", "mine.csv"),
    "benchmark_list": ("mine", "mine"),
    "download_cache_gigabytes": ("7.5", 7.5),
    "download_threads": ("8", 8),
    "device": ("cuda:1", "cuda:1"),
    "engine": ("ray", "ray"),
    "ray_workers": ("3", 3),
    "ray_gpus": ("0.5", 0.5),
    "sscd_model": ("sscd_disc_mixup", "sscd_disc_mixup"),
    "sscd_weights": ("weights/sscd.pt", "weights/sscd.pt"),
    "clip_model": ("google/siglip-base-patch16-224", "google/siglip-base-patch16-224"),
    "clip_crop": ("pad", "pad"),
    "clip_text": ("both", "both"),
    "clip_text_windows": ("true", True),
    "threads": ("3", 3),
    "batch_size": ("16", 16),
    "max_pixels": ("1000", 1000),
    "max_image_bytes": ("5000", 5000),
    "disk_reserve_gigabytes": ("0.5", 0.5),
    "similarity_floor": ("0.9", 0.9),
    "neighbors_kept": ("8", 8),
    "clip_floor": ("0.8", 0.8),
    "map_points": ("500", 500),
    "keep_by": ("semdedup", "semdedup"),
    "keep_fraction": ("0.5", 0.5),
    "keep_rows": ("kept.parquet", "kept.parquet"),
    "unreadable_limit": ("0.5", 0.5),
    "observe_cron": ("15 3 * * 1", "15 3 * * 1"),
    "copies_by": ("similarity", "similarity"),
    "candidate_floor": ("0.5", 0.5),
    "candidates_kept": ("4", 4),
    "pdq_distance": ("20", 20),
    "calibration_images": ("8", 8),
    "duplicate_threshold": ("0.8", 0.8),
    "contamination_threshold": ("0.8", 0.8),
    "contamination_limit": ("0.5", 0.5),
    "row_rule": ("majority", "majority"),
    "drop": ("duplicate,unreadable", "duplicate,unreadable"),
}


def refusal(environment: dict[str, str]) -> str:
    """The one line that an environment is refused with."""
    with pytest.raises(VisdivError) as caught:
        load_settings(environment)
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


def test_an_empty_environment_gives_the_defaults() -> None:
    assert load_settings({}).model_dump() == {
        "source": "data/sample",
        "data": "data/local",
        "local_data": "data/local/remote",
        "vector_cache_gigabytes": 50.0,
        "benchmark_catalog": "",
        "benchmark_list": "finevision66",
        "download_cache_gigabytes": 50.0,
        "download_threads": 4,
        "device": "auto",
        "engine": "local",
        "ray_workers": 0,
        "ray_gpus": 0.0,
        "sscd_model": "auto",
        "sscd_weights": "",
        "clip_model": "openai/clip-vit-base-patch32",
        "clip_crop": "crop",
        "clip_text": "assistant",
        "clip_text_windows": False,
        "threads": 0,
        "batch_size": 0,
        "max_pixels": 64_000_000,
        "max_image_bytes": 100_000_000,
        "disk_reserve_gigabytes": 2.0,
        "similarity_floor": 0.75,
        "neighbors_kept": 64,
        "clip_floor": 0.9,
        "map_points": 20_000,
        "keep_by": "",
        "keep_fraction": 1.0,
        "keep_rows": "",
        "copies_by": "pixels",
        "candidate_floor": 0.45,
        "candidates_kept": 16,
        "pdq_distance": 31,
        "calibration_images": 24,
        "duplicate_threshold": 0.95,
        "contamination_threshold": 0.95,
        "contamination_limit": 0.05,
        "row_rule": "all",
        "drop": "unreadable,quality,contaminated,duplicate",
        "unreadable_limit": 0.05,
        "observe_cron": "0 5 * * *",
    }


def test_thresholds_are_named_as_their_publishers_set_them() -> None:
    assert NAMED_THRESHOLDS == {"finevision": 0.95, "blog": 0.93, "hf_toolkit": 0.90, "sscd_paper": 0.75}


def test_every_setting_is_explained() -> None:
    assert all(field.description for field in Settings.model_fields.values())


def test_every_setting_has_a_value_in_these_tests() -> None:
    assert OTHER_VALUES.keys() == Settings.model_fields.keys()


@pytest.mark.parametrize("name", OTHER_VALUES)
def test_a_variable_sets_its_setting_and_no_other(name: str) -> None:
    text, value = OTHER_VALUES[name]
    assert value != getattr(Settings(), name)
    assert variable(name) == "VISDIV_" + name.upper()
    assert load_settings({variable(name): text}).model_dump() == {**Settings().model_dump(), name: value}


def test_the_process_environment_is_read_unless_another_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VISDIV_THREADS", "7")
    assert load_settings().threads == 7
    assert load_settings({}).threads == 0


def test_variables_of_other_programs_are_passed_over() -> None:
    assert load_settings({"HOME": "/", "visdiv_threads": "7", "MY_VISDIV_THREADS": "7", "DAGSTER_HOME": "/x"}) == (
        Settings()
    )


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("VISDIV_DEVISE", "VISDIV_DEVICE"),
        ("VISDIV_SIMILARITY_FLOR", "VISDIV_SIMILARITY_FLOOR"),
        ("VISDIV_THREAD", "VISDIV_THREADS"),
        ("VISDIV_BATCHSIZE", "VISDIV_BATCH_SIZE"),
        ("VISDIV_NEIGHBORS_KEPT", "VISDIV_NEIGHBORS_KEPT"),
        ("VISDIV_source", "VISDIV_SOURCE"),
    ],
)
def test_a_misspelled_variable_is_refused_with_the_nearest_one(typed: str, meant: str) -> None:
    message = refusal({typed: "1"})
    assert typed in message
    assert f"did you mean {meant}?" in message


@pytest.mark.parametrize("name", ["VISDIV_", "VISDIV_QQQQQQQQ"])
def test_a_variable_that_resembles_nothing_is_refused_too(name: str) -> None:
    assert refusal({name: "1"}).startswith(f"{name} is not a setting")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("source", ""),
        ("data", ""),
        ("device", ""),
        ("device", "gpu"),
        ("device", "CUDA"),
        ("device", "cuda:"),
        ("device", "cuda:-1"),
        ("device", "cuda:1:2"),
        ("device", "cpu:0"),
        ("device", "cuda:\u0663"),
        ("sscd_model", "sscd"),
        ("threads", ""),
        ("threads", "-1"),
        ("threads", "1025"),
        ("threads", "many"),
        ("threads", "1.5"),
        ("batch_size", "-1"),
        ("batch_size", "4097"),
        ("max_pixels", "0"),
        ("download_cache_gigabytes", "-1"),
        ("download_cache_gigabytes", "inf"),
        ("download_threads", "0"),
        ("download_threads", "65"),
        ("max_image_bytes", "0"),
        ("max_image_bytes", "1e9"),
        ("disk_reserve_gigabytes", "-1"),
        ("disk_reserve_gigabytes", "nan"),
        ("disk_reserve_gigabytes", "inf"),
        ("disk_reserve_gigabytes", "2 GB"),
        ("similarity_floor", "0"),
        ("similarity_floor", "-0.1"),
        ("similarity_floor", "1.01"),
        ("similarity_floor", "nan"),
        ("similarity_floor", "0,9"),
        ("neighbors_kept", "0"),
        ("unreadable_limit", "-0.1"),
        ("unreadable_limit", "1.5"),
        ("unreadable_limit", "nan"),
        ("copies_by", "eye"),
        ("candidate_floor", "0"),
        ("candidates_kept", "0"),
        ("pdq_distance", "91"),
        ("calibration_images", "-1"),
        ("duplicate_threshold", "0"),
        ("duplicate_threshold", "1.01"),
        ("contamination_threshold", "nan"),
        ("contamination_limit", "2"),
        ("row_rule", "most"),
        ("drop", "duplicates"),
        ("drop", "duplicate,"),
        ("drop", "quality;duplicate"),
        ("threads", "two\nlines"),
    ],
)
def test_an_impossible_value_is_refused_in_one_line_that_names_the_variable(name: str, value: str) -> None:
    message = refusal({variable(name): value})
    assert message.startswith(f"{PREFIX}{name.upper()}={value!r} is impossible: ")
    assert "Value error" not in message


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("device", "cuda"),
        ("device", "cuda:0"),
        ("device", "cuda:12"),
        ("threads", "1024"),
        ("batch_size", "4096"),
        ("max_pixels", "1"),
        ("max_image_bytes", "1"),
        ("disk_reserve_gigabytes", "0"),
        ("similarity_floor", "0.95"),
        ("similarity_floor", "1e-3"),
        ("duplicate_threshold", "0.75"),
        ("duplicate_threshold", "1"),
        ("contamination_threshold", "0.75"),
        ("contamination_limit", "1"),
        ("row_rule", "any"),
        ("drop", ""),
        ("drop", "quality"),
        ("neighbors_kept", "1"),
        ("unreadable_limit", "0"),
        ("unreadable_limit", "1"),
    ],
)
def test_values_at_the_limits_are_possible(name: str, value: str) -> None:
    read = getattr(load_settings({variable(name): value}), name)
    assert read == (value if isinstance(read, str) else float(value))


@pytest.mark.parametrize("name", ["duplicate_threshold", "contamination_threshold"])
@pytest.mark.parametrize("floor", [None, "0.99"])
def test_a_threshold_below_the_floor_is_refused_in_one_line_that_names_both(name: str, floor: str | None) -> None:
    environment = {variable(name): "0.7"} if floor is None else {"VISDIV_SIMILARITY_FLOOR": floor}
    other = {"duplicate_threshold", "contamination_threshold"} - {name}
    message = refusal({**environment, **({variable(key): "0.99" for key in other} if floor else {})})
    assert variable(name) in message
    assert "VISDIV_SIMILARITY_FLOOR" in message


def test_reasons_to_drop_a_row_apply_in_their_own_order() -> None:
    assert load_settings({}).drop_reasons == ("unreadable", "quality", "contaminated", "duplicate")
    assert load_settings({"VISDIV_DROP": "duplicate,unreadable"}).drop_reasons == ("unreadable", "duplicate")
    assert load_settings({"VISDIV_DROP": ""}).drop_reasons == ()
    assert load_settings({"VISDIV_DROP": "", "VISDIV_KEEP_BY": "semdedup"}).drop_reasons == ("selection",)


def test_paths_lie_in_the_data_folder_below_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = load_settings({"VISDIV_DATA": "some/data"})
    assert settings.data_folder == tmp_path / "some" / "data"
    assert settings.lake_root == str(tmp_path / "some/data/lake")
    assert settings.warehouse_path == str(tmp_path / "some/data/visdiv.duckdb")
    assert settings.weights_folder == str(tmp_path / "some/data/weights")
    assert settings.reports_folder == tmp_path / "some/data/reports"
    assert list(tmp_path.iterdir()) == []


def test_data_on_object_storage_keeps_a_folder_for_what_cannot_lie_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    options = "?endpoint_override=127.0.0.1:9000&scheme=http"
    settings = load_settings({"VISDIV_DATA": f"s3://bucket/some{options}", "VISDIV_LOCAL_DATA": "near"})
    assert settings.lake_root == f"s3://bucket/some/lake{options}"
    assert settings.warehouse_copy == f"s3://bucket/some/visdiv.duckdb{options}"
    assert settings.warehouse_path == str(tmp_path / "near/visdiv.duckdb")
    assert settings.reports_folder == tmp_path / "near/reports"
    assert settings.vectors_folder == tmp_path / "near/vectors"
    assert dagster_home(settings, {}) == tmp_path / "near/dagster"
    assert absolute_paths(settings)["VISDIV_LOCAL_DATA"] == str(tmp_path / "near")
    assert "VISDIV_DATA" not in absolute_paths(settings)
    assert load_settings({"VISDIV_DATA": "near"}).warehouse_copy == ""
    assert "VISDIV_LOCAL_DATA" not in absolute_paths(load_settings({}))


def test_a_place_that_cannot_be_one_is_refused_in_one_line() -> None:
    assert "after the question mark give" in refusal({"VISDIV_DATA": "s3://bucket/some?regoin=x"})
    assert "does not name a bucket" in refusal({"VISDIV_DATA": "s3://"})
    assert "hidden" not in refusal({"VISDIV_DATA": "s3://key:hidden@bucket/some"})
    assert "must be a folder on a disk" in refusal({"VISDIV_LOCAL_DATA": "s3://bucket/some"})


def test_data_may_be_named_by_a_file_uri(tmp_path: Path) -> None:
    assert load_settings({"VISDIV_DATA": (tmp_path / "a b").as_uri()}).lake_root == str(tmp_path / "a b" / "lake")


def test_an_absolute_data_folder_stays_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert load_settings({"VISDIV_DATA": str(tmp_path / "data")}).lake_root == str(tmp_path / "data" / "lake")


def test_paths_keep_their_meaning_in_another_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    settings = Settings(source="corpus", data="data", sscd_weights="/weights/sscd.pt", benchmark_catalog="mine.csv")
    assert absolute_paths(settings) == {
        "VISDIV_SOURCE": str(tmp_path / "corpus"),
        "VISDIV_DATA": str(tmp_path / "data"),
        "VISDIV_SSCD_WEIGHTS": "/weights/sscd.pt",
        "VISDIV_BENCHMARK_CATALOG": str(tmp_path / "mine.csv"),
    }
    (tmp_path / "clip").mkdir()
    assert absolute_paths(Settings(clip_model="clip"))["VISDIV_CLIP_MODEL"] == str(tmp_path / "clip")
    remote = Settings(source="hf://datasets/some/corpus@main")
    assert absolute_paths(remote) == {"VISDIV_DATA": str(tmp_path / "data/local")}


def test_rates_are_published_from_the_floor_on_and_at_the_threshold_that_is_set() -> None:
    assert published_thresholds(0.75, 0.95) == list(PUBLISHED_THRESHOLDS)
    assert published_thresholds(0.9, 0.97) == [0.9, 0.93, 0.95, 0.97, 0.98]
    assert set(NAMED_THRESHOLDS.values()) <= set(PUBLISHED_THRESHOLDS)


def test_settings_cannot_be_changed_after_they_are_checked() -> None:
    settings = Settings()
    with pytest.raises(ValidationError):
        settings.threads = -1
    with pytest.raises(ValidationError):
        Settings.model_validate({"thread": 1})


def test_dagsters_state_lies_in_the_data_folder(tmp_path: Path) -> None:
    settings = Settings(data=str(tmp_path))
    assert dagster_home(settings, {}) == tmp_path / "dagster"
    assert dagster_home(settings, {"DAGSTER_HOME": ""}) == tmp_path / "dagster"


def test_dagster_home_has_precedence_and_becomes_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DAGSTER_HOME", "mine")
    assert dagster_home(Settings()) == tmp_path / "mine"
    assert dagster_home(Settings(), {"DAGSTER_HOME": "/theirs"}) == Path("/theirs")


def test_errors_for_users_are_one_line() -> None:
    assert str(VisdivError("one\n  two\tthree ")) == "one two three"
