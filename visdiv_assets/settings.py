"""Every knob, once: its name, default, unit, environment variable and meaning.

Environment variables are read here and nowhere else. A setting `x` is the variable `VISDIV_X`. Variables that begin
with `VISDIV_` and name no setting are an error, since a misspelled setting that is silently ignored costs a run.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from visdiv_assets.curation.reasons import DROP_REASONS
from visdiv_assets.errors import ConfigError
from visdiv_assets.imaging.limits import MAX_IMAGE_BYTES, MAX_PIXELS, DecodeLimits
from visdiv_assets.sources.catalog import FINEVISION_LIST
from visdiv_assets.storage import uris

PREFIX = "VISDIV_"

#: Days for which `visdiv gc` leaves files alone that no partition names: a run that was killed goes on from them.
GRACE_DAYS = 7.0


class Settings(BaseModel):
    """All settings of the program, checked. Paths are relative to the working directory."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str = Field(
        "data/sample",
        min_length=1,
        description="Where rows come from: a folder that holds subsets/<name>/*.parquet and "
        "benchmarks/<name>/*.parquet, a folder of images (one subset per subfolder, and benchmarks/<name>/), or a "
        "dataset on the Hugging Face Hub, hf://datasets/<owner>/<name>[@revision].",
    )
    data: str = Field(
        "data/local",
        min_length=1,
        description="Folder for everything that the program writes: lake/, visdiv.duckdb, dagster/, weights/, "
        "downloads/. Or a place on object storage, s3://bucket/prefix, for lake/ and a copy of visdiv.duckdb; after it "
        "?endpoint_override=host:port&scheme=http&region=... as needed.",
    )
    local_data: str = Field(
        "data/local/remote",
        min_length=1,
        description="Where VISDIV_DATA is on object storage: folder for what cannot lie there (dagster/, weights/, "
        "downloads/, reports/, copies of vectors, and visdiv.duckdb before it is copied). One for each VISDIV_DATA.",
    )
    vector_cache_gigabytes: Annotated[float, Field(ge=0, allow_inf_nan=False)] = Field(
        50.0,
        description="Where VISDIV_DATA is on object storage: gigabytes of vectors that are kept in VISDIV_LOCAL_DATA, "
        "to be memory-mapped; those used least recently go first.",
    )
    benchmark_catalog: str = Field(
        "",
        description="CSV file with the benchmarks to search for, in the columns of the packaged list, so that dataset "
        "names can be changed; empty: the packaged list.",
    )
    benchmark_list: str = Field(
        FINEVISION_LIST,
        description="Lists of the catalog, with commas between, whose benchmarks a source on the Hub has; empty: all "
        "lists; none: no benchmarks.",
    )
    download_cache_gigabytes: Annotated[float, Field(ge=0, allow_inf_nan=False)] = Field(
        50.0,
        description="Gigabytes of files from the Hub that are kept in VISDIV_DATA; those used least recently go first. "
        "Less than a subset holds means that it is fetched again by each stage that reads its images.",
    )
    download_threads: Annotated[int, Field(ge=1, le=64)] = Field(
        4, description="Requests at a time while the row counts of files on the Hub are read."
    )
    device: str = Field(
        "auto",
        description="Where models run: auto (CUDA if there is a device, else the CPU), cpu, cuda, cuda:N, or cuda:all "
        "(images are embedded by one process for each CUDA device of the machine).",
    )
    engine: Literal["local", "ray"] = Field(
        "local",
        description="Where the heavy work of a partition is done: local (on this machine) or ray (on the Ray cluster "
        "at RAY_ADDRESS, or on one that is started on this machine).",
    )
    ray_workers: Annotated[int, Field(ge=0)] = Field(
        0, description="Workers of the Ray cluster that embed at the same time (0: as many as it has room for)."
    )
    ray_gpus: Annotated[float, Field(ge=0, allow_inf_nan=False)] = Field(
        0.0, description="GPUs of each worker of the Ray cluster that runs a model or compares vectors (0: none)."
    )
    sscd_model: Literal["auto", "sscd_disc_mixup_int8", "sscd_disc_mixup"] = Field(
        "auto",
        description="SSCD weights: sscd_disc_mixup_int8 (ONNX, CPU), sscd_disc_mixup (TorchScript, GPU or CPU); "
        "auto takes the first on a CPU and the second on CUDA.",
    )
    sscd_weights: str = Field(
        "",
        description="File with the TorchScript weights of sscd_disc_mixup; empty: fetch them once into VISDIV_DATA.",
    )
    clip_model: str = Field(
        "openai/clip-vit-base-patch32",
        description="CLIP or SigLIP: a folder, or the name of a model on the Hugging Face Hub, which is fetched once "
        "into its cache. Where there are no weights, or this is empty, what needs CLIP is skipped.",
    )
    clip_crop: Literal["crop", "pad", "squash"] = Field(
        "crop",
        description="How CLIP gets an image: crop (as the model was trained: its middle, which loses the margins of "
        "charts and documents; SigLIP's is squash), pad (the whole, on a square) or squash (the whole, distorted).",
    )
    clip_text: Literal["assistant", "user", "both"] = Field(
        "assistant",
        description="Which text of a turn CLIP compares with the images: assistant (the answer, which is what "
        "describes an image), user, or both, joined.",
    )
    clip_text_windows: bool = Field(
        False,
        description="Whether texts that are longer than CLIP takes are read in overlapping windows, whose unit vectors "
        "are averaged; else only their beginning is read.",
    )
    threads: Annotated[int, Field(ge=0, le=1024)] = Field(
        0,
        description="Threads that decode images and run the model on a CPU (0: one per core). With VISDIV_ENGINE=ray "
        "the CPUs of each worker (0: 1).",
    )
    batch_size: Annotated[int, Field(ge=0, le=4096)] = Field(
        0, description="Images per call of the model (0: 4 on a CPU, of CLIP 8; on CUDA 64 and 128)."
    )
    max_pixels: Annotated[int, Field(ge=1)] = Field(
        MAX_PIXELS, description="Pixels: an image with more is recorded as too_large and not decoded."
    )
    max_image_bytes: Annotated[int, Field(ge=1)] = Field(
        MAX_IMAGE_BYTES,
        description="Bytes: an image whose file is larger is recorded as too_large and not decoded.",
    )
    disk_reserve_gigabytes: Annotated[float, Field(ge=0, allow_inf_nan=False)] = Field(
        2.0,
        description="Gigabytes that stay free on the disk of VISDIV_DATA: a run stops, with everything finished kept, "
        "before it writes where less is free. On a disk of less than 10 times as many, a tenth of the disk.",
    )
    similarity_floor: Annotated[float, Field(gt=0, le=1)] = Field(
        0.75, description="Cosine similarity from which a pair of images is stored."
    )
    neighbors_kept: Annotated[int, Field(ge=1)] = Field(
        64,
        description="Pairs kept per image: a pair stays if it is among this many best of one of its two.",
    )
    clip_floor: Annotated[float, Field(gt=0, le=1)] = Field(
        0.90, description="Cosine similarity by CLIP from which a pair of images is stored in clip_pairs."
    )
    map_points: Annotated[int, Field(ge=1, le=1_000_000)] = Field(
        20_000, description="Points of a map at most; of a subset with more images or texts a sample is shown."
    )
    copies_by: Literal["pixels", "similarity"] = Field(
        "pixels",
        description="What makes two images copies in clusters and the clean copy: pixels (they were compared and "
        "agree) or similarity (VISDIV_DUPLICATE_THRESHOLD, VISDIV_CONTAMINATION_THRESHOLD).",
    )
    candidate_floor: Annotated[float, Field(gt=0, le=1)] = Field(
        0.45, description="Cosine similarity from which the pixels of two images are compared."
    )
    candidates_kept: Annotated[int, Field(ge=1)] = Field(
        16,
        description="Pairs per image whose pixels are compared: the best of each of the two ways to find them. It "
        "bounds the time that images of one template take.",
    )
    pdq_distance: Annotated[int, Field(ge=0, le=90)] = Field(
        31,
        description="Bits, of 256, in which the PDQ hashes of two images may differ for their pixels to be compared.",
    )
    calibration_images: Annotated[int, Field(ge=0)] = Field(
        24, description="Images of a subset that calibration makes copies of, 36 of each."
    )
    duplicate_threshold: Annotated[float, Field(gt=0, le=1)] = Field(
        0.95,
        description="Cosine similarity from which two images count as copies in overlaps and, with "
        "VISDIV_COPIES_BY=similarity, in clusters and the clean copy.",
    )
    contamination_threshold: Annotated[float, Field(gt=0, le=1)] = Field(
        0.95,
        description="Cosine similarity to a benchmark's image from which an image counts as contaminated and, with "
        "VISDIV_COPIES_BY=similarity, its row is left out of the clean copy.",
    )
    contamination_limit: Annotated[float, Field(ge=0, le=1)] = Field(
        0.05, description="Share of a subset's images that are contaminated above which its check warns."
    )
    row_rule: Literal["any", "all", "majority"] = Field(
        "all", description="A row with several images goes as a duplicate if any, all or the majority are redundant."
    )
    drop: str = Field(
        "unreadable,quality,contaminated,duplicate",
        description="Why a clean copy leaves rows out, with commas between; the other reasons are only reported.",
    )
    keep_by: Literal["", "semdedup", "conformity", "whitened_clip", "clip_score"] = Field(
        "",
        description="Method of selection_scores by which a clean copy keeps the best rows (VISDIV_KEEP_FRACTION); the "
        "others go with the reason selection. Empty: none. It needs CLIP vectors.",
    )
    keep_fraction: Annotated[float, Field(gt=0, le=1)] = Field(
        1.0, description="Share of the rows of all subsets that VISDIV_KEEP_BY keeps, of those that have a score."
    )
    keep_rows: str = Field(
        "",
        description="Parquet file with the columns subset and row, such as `visdiv select --out` writes: a clean copy "
        "keeps none but these rows; the others go with the reason selection. Empty: none.",
    )
    observe_cron: str = Field(
        "0 5 * * *", min_length=1, description="When the source is looked at for changes: a cron expression, UTC."
    )
    unreadable_limit: Annotated[float, Field(ge=0, le=1)] = Field(
        0.05, description="Share of unreadable images of a subset above which its check warns."
    )

    @field_validator("drop")
    @classmethod
    def _known_reasons(cls, value: str) -> str:
        # Selection is asked for by the setting that says by what.
        known = DROP_REASONS[:-1]
        unknown = [reason for reason in value.split(",") if value and reason not in known]
        if unknown:
            raise ValueError(f"{unknown[0]!r} is no reason to drop a row, use {', '.join(known)}")
        return value

    @model_validator(mode="after")
    def _thresholds_above_floor(self) -> Settings:
        for name in ("duplicate_threshold", "contamination_threshold"):
            if getattr(self, name) < self.similarity_floor:
                raise ValueError(
                    f"{variable(name)} is below {variable('similarity_floor')}={self.similarity_floor}: "
                    "raise the one or lower the other"
                )
        return self

    @model_validator(mode="after")
    def _one_selection(self) -> Settings:
        if self.keep_by and self.keep_rows:
            raise ValueError(f"{variable('keep_by')} and {variable('keep_rows')} both select rows: set one of them")
        return self

    @property
    def drop_reasons(self) -> tuple[str, ...]:
        """The setting `drop` as a tuple, in the order of `DROP_REASONS`, and selection if that is asked for."""
        asked = {*self.drop.split(","), *(["selection"] if self.keep_by or self.keep_rows else [])}
        return tuple(reason for reason in DROP_REASONS if reason in asked)

    @field_validator("device")
    @classmethod
    def _known_device(cls, value: str) -> str:
        kind, _, index = value.partition(":")
        known = ("auto", "cpu", "cuda", "cuda:all")
        if value in known or (kind == "cuda" and index.isascii() and index.isdecimal()):
            return value
        raise ValueError("use auto, cpu, cuda, cuda:N or cuda:all")

    @field_validator("data")
    @classmethod
    def _known_place(cls, value: str) -> str:
        if uris.is_uri(value):
            uris.check(value)
        return value

    @field_validator("local_data")
    @classmethod
    def _on_a_disk(cls, value: str) -> str:
        if uris.is_uri(value):
            raise ValueError("it must be a folder on a disk of this machine")
        return value

    @property
    def decode_limits(self) -> DecodeLimits:
        """What an image may have at most."""
        return DecodeLimits(self.max_pixels, self.max_image_bytes)

    @property
    def is_remote(self) -> bool:
        """Whether the lake lies on object storage."""
        return uris.is_uri(self.data)

    @property
    def data_folder(self) -> Path:
        """The folder on a disk, absolute: that of the data, or of what cannot lie on object storage."""
        return uris.local_folder(self.local_data if self.is_remote else self.data)

    @property
    def data_variable(self) -> str:
        """The environment variable that names `data_folder`."""
        return variable("local_data" if self.is_remote else "data")

    @property
    def vectors_folder(self) -> Path:
        """Where copies of vectors that lie on object storage are kept."""
        return self.data_folder / "vectors"

    @property
    def downloads_folder(self) -> Path:
        """Where files from the Hub are kept."""
        return self.data_folder / "downloads"

    @property
    def lake_root(self) -> str:
        """Where the Parquet lake lies: a folder or a URI."""
        return uris.join(self.data, "lake")

    @property
    def warehouse_path(self) -> str:
        """The DuckDB file that BI tools read."""
        return str(self.data_folder / "visdiv.duckdb")

    @property
    def warehouse_copy(self) -> str:
        """Where the DuckDB file is copied to on object storage; empty if the data lies on a disk."""
        return uris.join(self.data, "visdiv.duckdb") if self.is_remote else ""

    @property
    def reports_folder(self) -> Path:
        """Where HTML reports are written."""
        return self.data_folder / "reports"

    @property
    def weights_folder(self) -> str:
        """Where fetched model weights are kept."""
        return str(self.data_folder / "weights")


def variable(name: str) -> str:
    """The environment variable of a setting: `source` -> `VISDIV_SOURCE`."""
    return PREFIX + name.upper()


def load_settings(environment: Mapping[str, str] | None = None) -> Settings:
    """Read the settings from the environment.

    Args:
        environment: variables by name; the process environment if None.

    Raises:
        ConfigError: a variable that begins with VISDIV_ names no setting, or has an impossible value.
    """
    environment = os.environ if environment is None else environment
    known = {variable(name): name for name in Settings.model_fields}
    values: dict[str, str] = {}
    for key, value in environment.items():
        if not key.startswith(PREFIX):
            continue
        if key not in known:
            close = difflib.get_close_matches(key.upper(), known, n=1, cutoff=0.0)[0]
            raise ConfigError(f"{key} is not a setting: did you mean {close}? `visdiv settings` lists them all")
        values[known[key]] = value
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        reason = first["msg"].removeprefix("Value error, ")
        if not first["loc"]:
            raise ConfigError(reason) from None
        name = str(first["loc"][0])
        raise ConfigError(f"{variable(name)}={first['input']!r} is impossible: {reason}") from None


def variables_set(environment: Mapping[str, str] | None = None) -> list[str]:
    """Names of the variables that set a setting, sorted."""
    environment = os.environ if environment is None else environment
    return sorted(variable(name) for name in Settings.model_fields if variable(name) in environment)


def misspelled_variables(environment: Mapping[str, str] | None = None) -> list[tuple[str, str]]:
    """Variables that look like those of settings, but do not begin as they do, each with the one that may be meant."""
    environment = os.environ if environment is None else environment
    known = [variable(name) for name in Settings.model_fields]
    return [
        (key, close[0])
        for key in sorted(environment)
        if not key.startswith(PREFIX) and (close := difflib.get_close_matches(key.upper(), known, n=1, cutoff=0.9))
    ]


def absolute_paths(settings: Settings) -> dict[str, str]:
    """Environment variables that give the settings' paths the same meaning in any working directory."""
    paths = {
        name: getattr(settings, name) for name in ("source", "data", "sscd_weights", "benchmark_catalog", "keep_rows")
    }
    if settings.is_remote:
        paths["local_data"] = settings.local_data
    if Path(settings.clip_model).expanduser().is_dir():  # else it is the name of a model on the Hub
        paths["clip_model"] = settings.clip_model
    return {variable(name): str(Path(path).absolute()) for name, path in paths.items() if path and "://" not in path}


def dagster_home(settings: Settings, environment: Mapping[str, str] | None = None) -> Path:
    """The folder of Dagster's own state: DAGSTER_HOME if it is set, else `dagster/` in the data folder."""
    environment = os.environ if environment is None else environment
    return Path(environment.get("DAGSTER_HOME") or settings.data_folder / "dagster").absolute()


def ray_address(environment: Mapping[str, str] | None = None) -> str:
    """The address of the Ray cluster to use, Ray's own variable RAY_ADDRESS; empty: there is none."""
    environment = os.environ if environment is None else environment
    return environment.get("RAY_ADDRESS", "")
