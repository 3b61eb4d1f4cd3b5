"""Every setting: its name, default, unit, environment variable and meaning.

Values come, in rising priority, from

1. the defaults of `Settings`,
2. `visdiv.toml` in the working directory, or the file that the environment variable VISDIV_CONFIG names (an empty
   VISDIV_CONFIG: no file). It holds settings by their names in lower case at the top level, without tables:
   `similarity_floor = 0.8`,
3. environment variables: the setting `similarity_floor` is VISDIV_SIMILARITY_FLOOR,
4. the options `--source` and `--data` of the commands.

The environment is read in this module only. A name in the file, or a variable that begins with VISDIV_, that is not a
setting is an error: a misspelled setting that is silently ignored costs a run.
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from visdiv_assets.curation.judge.budget import parse_limit
from visdiv_assets.curation.quality import parse_thresholds
from visdiv_assets.curation.reasons import DROP_REASONS
from visdiv_assets.errors import ConfigError, StorageError, did_you_mean
from visdiv_assets.imaging.limits import MAX_IMAGE_BYTES, MAX_PIXELS, DecodeLimits, Decoding
from visdiv_assets.sources.catalog import FINEVISION_LIST
from visdiv_assets.sources.reading import TRAIN, Reading
from visdiv_assets.storage import uris

PREFIX = "VISDIV_"

#: The variable that names the file of settings, and the file that is read where it is not set.
CONFIG_VARIABLE = "VISDIV_CONFIG"
CONFIG_FILE = "visdiv.toml"

#: Days for which `visdiv gc` keeps files that no partition names, so that interrupted runs can resume.
GRACE_DAYS = 7.0

#: Settings that belong together, by the name of a profile; `visdiv init --profile` writes them.
PROFILES: dict[str, dict[str, Any]] = {
    "cpu": {"device": "cpu"},
    "gpu": {"device": "cuda"},
    "gpus": {"device": "cuda:all"},
    "local-cache": {"download_cache_gigabytes": 500.0, "vector_cache_gigabytes": 500.0},
    "finevision": {
        "sscd_model": "sscd_disc_mixup",
        "decoding": "finevision",
        "copies_by": "similarity",
        "duplicate_threshold": 0.95,
        "contamination_threshold": 0.95,
    },
    "blog-quality": {"quality_thresholds": "blog", "quality_rule": "row"},
}

#: Settings by their former names.
RENAMED = {
    "benchmark_catalogue": "benchmark_catalog",
    "calibration_pictures": "calibration_images",
    "max_picture_bytes": "max_image_bytes",
    "neighbours_kept": "neighbors_kept",
}

#: Settings that name a file or folder, or an object store or dataset by URI.
_PATHS = ("source", "data", "local_data", "sscd_weights", "benchmark_catalog", "keep_rows", "decisions", "blocklist")

#: Settings whose wrong values are not repeated in messages, since they may be secrets.
_NOT_REPEATED = ("judge_url", "judge_key_file")

#: What begins a value of VISDIV_JUDGE_KEY_FILE that names an environment variable.
_KEY_IN_ENVIRONMENT = "env:"

#: Names of variables that may hold the key. A key pasted in the place of a name rarely looks so.
_KEY_VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]{0,63}")


@dataclass(frozen=True)
class Unit:
    """The unit of a number among the settings."""

    name: str


class Settings(BaseSettings):
    """All settings, validated. Relative paths are relative to the working directory.

    `Settings(...)` takes its values from its arguments and the defaults only; `load_settings` reads the file and the
    environment.
    """

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid", validate_default=False)

    source: str = Field(
        default="data/sample",
        min_length=1,
        description="Where to read rows from: a folder with subsets/<name>/*.parquet and benchmarks/<name>/*.parquet, "
        "a folder in the layout of a dataset's repository on the Hub, a folder of images (one subset per subfolder, "
        "and benchmarks/<name>/), or a dataset on the Hugging Face Hub: hf://datasets/<owner>/<name>[@revision].",
    )
    split: str = Field(
        default=TRAIN,
        min_length=1,
        description="Split to read of subsets whose files or folders are named after splits: train, validation, test "
        "or another name. With train, a subset that has no split train is read whole. all: every split.",
    )
    image_columns: str = Field(
        default="",
        description="Comma-separated columns of the source's files that hold images, in the order of the images of a "
        "row. Empty: the columns that the files declare as images, else those with a common name (images, image, "
        "image_0 and so on), else those whose first rows hold images.",
    )
    text_columns: str = Field(
        default="",
        description="Column of the source's files that holds texts: conversations, JSON of conversations, or captions. "
        "Or two columns separated by a comma: questions and answers. Empty: the first of texts, conversations, "
        "conversation and messages that a file has.",
    )
    outside_files: bool = Field(
        default=False,
        description="Whether to read files outside the source that rows name by path, or that links in the source "
        "lead to. Links within a download in the cache of the Hub are always followed.",
    )
    data: str = Field(
        default="data/local",
        min_length=1,
        description="Folder for everything that is written: lake/, visdiv.duckdb, reports/, dagster/, weights/, "
        "downloads/. Or a prefix on object storage, s3://bucket/prefix, for lake/ and a copy of visdiv.duckdb; append "
        "?endpoint_override=host:port&scheme=http&region=... as needed.",
    )
    local_data: str = Field(
        default="data/local/remote",
        min_length=1,
        description="Used if VISDIV_DATA is on object storage: local folder for what cannot be stored there (dagster/, "
        "weights/, downloads/, reports/, cached vectors, and visdiv.duckdb before it is copied). Use a separate folder "
        "for each VISDIV_DATA.",
    )
    vector_cache_gigabytes: Annotated[float, Field(ge=0, allow_inf_nan=False), Unit("GB")] = Field(
        default=50.0,
        description="Used if VISDIV_DATA is on object storage: size in gigabytes of the cache of vectors in "
        "VISDIV_LOCAL_DATA, from which they are memory-mapped. The least recently used are removed first.",
    )
    benchmark_catalog: str = Field(
        default="",
        description="CSV file that lists benchmarks, with the columns of the packaged catalog. Empty: use the packaged "
        "catalog.",
    )
    benchmark_list: str = Field(
        default=FINEVISION_LIST,
        description="Comma-separated lists of the catalog whose benchmarks a source on the Hub has. Empty: all lists. "
        "none: no benchmarks.",
    )
    download_cache_gigabytes: Annotated[float, Field(ge=0, allow_inf_nan=False), Unit("GB")] = Field(
        default=50.0,
        description="Size in gigabytes of the cache of files from the Hub. The least recently used are removed first. "
        "If a subset does not fit, each stage that reads its images downloads it again.",
    )
    download_threads: Annotated[int, Field(ge=1, le=64), Unit("requests")] = Field(
        default=4, description="Number of simultaneous requests that read the row counts of files on the Hub."
    )
    device: str = Field(
        default="auto",
        description="Device that runs the models: auto (CUDA if available, else the CPU), cpu, cuda, cuda:N, or "
        "cuda:all (one process for each CUDA device of the machine embeds images).",
    )
    engine: Literal["local", "ray"] = Field(
        default="local",
        description="Where the heavy work of a partition runs: local (on this machine) or ray (on the Ray cluster at "
        "RAY_ADDRESS; if that is not set, Ray is started on this machine).",
    )
    ray_workers: Annotated[int, Field(ge=0), Unit("workers")] = Field(
        default=0, description="Number of workers of the Ray cluster that embed at the same time (0: as many as fit)."
    )
    ray_gpus: Annotated[float, Field(ge=0, allow_inf_nan=False), Unit("GPUs")] = Field(
        default=0.0,
        description="Number of GPUs of each worker of the Ray cluster that runs a model or compares vectors.",
    )
    sscd_model: Literal["auto", "sscd_disc_mixup_int8", "sscd_disc_mixup"] = Field(
        default="auto",
        description="SSCD model: sscd_disc_mixup_int8 (ONNX, CPU) or sscd_disc_mixup (TorchScript, GPU or CPU). auto "
        "uses the first on a CPU and the second on CUDA.",
    )
    sscd_weights: str = Field(
        default="",
        description="File with the TorchScript weights of sscd_disc_mixup. Empty: download them once.",
    )
    thumbnail_side: Annotated[int, Field(ge=0, le=1024), Unit("pixels")] = Field(
        default=256,
        description="Longest side in pixels of the thumbnails, which reports and maps show, and by which types of "
        "images are told. 0 stores none.",
    )
    local_features: bool = Field(
        default=True,
        description="Whether to store the local features of each image, at most 8 kB per image. Verification compares "
        "them first; without them it reads the images of candidate pairs from the source again.",
    )
    regions: bool = Field(
        default=False,
        description="Whether to look for images inside larger ones (collages, screenshots), within a subset and in "
        "benchmarks: the SSCD vectors of 9 regions of each image are stored and compared with those of whole images. "
        "Embedding and vectors then take 10 times the time and space.",
    )
    clip_model: str = Field(
        default="openai/clip-vit-base-patch32",
        description="CLIP or SigLIP model: a folder, or the name of a model on the Hugging Face Hub, which is "
        "downloaded once. If it is empty or not available, everything that needs CLIP is skipped.",
    )
    clip_crop: Literal["crop", "pad", "squash"] = Field(
        default="crop",
        description="How an image is made square for CLIP: crop (the center, as in CLIP's training; it loses the "
        "margins of charts and documents), pad (the whole image with borders) or squash (the whole image, distorted, "
        "as in SigLIP's training).",
    )
    clip_text: Literal["assistant", "user", "both"] = Field(
        default="assistant",
        description="Text of a turn that CLIP compares with the images: assistant (the answer, which usually describes "
        "the image), user, or both, concatenated.",
    )
    clip_text_prefix: str = Field(
        default="",
        description="Words put before each text of a turn that CLIP compares with the images, such as `A photo "
        "depicts`, which the published CLIPScore puts there. Empty: none.",
    )
    clip_text_windows: bool = Field(
        default=False,
        description="If true, texts that exceed CLIP's context are embedded in overlapping windows, whose unit vectors "
        "are averaged. If false, they are truncated.",
    )
    threads: Annotated[int, Field(ge=0, le=1024), Unit("threads")] = Field(
        default=0,
        description="Number of threads that decode images and run models on a CPU (0: one per core). With "
        "VISDIV_ENGINE=ray: CPUs of each worker (0: 1).",
    )
    batch_size: Annotated[int, Field(ge=0, le=4096), Unit("images")] = Field(
        default=0, description="Images per call of a model (0: for SSCD 4 on a CPU and 64 on CUDA, for CLIP 8 and 128)."
    )
    max_pixels: Annotated[int, Field(ge=1), Unit("pixels")] = Field(
        default=MAX_PIXELS,
        description="Maximum pixels of an image. A larger one is recorded as too_large and not decoded.",
    )
    max_image_bytes: Annotated[int, Field(ge=1), Unit("bytes")] = Field(
        default=MAX_IMAGE_BYTES,
        description="Maximum bytes of an image file. A larger one is recorded as too_large and not decoded.",
    )
    decoding: Decoding = Field(
        default="shown",
        description="How an image becomes RGB: shown (as viewers show it: transparency on white, deep pixels scaled, "
        "truncated files unreadable) or finevision (as FineVision's authors decoded it: transparency ignored, deep "
        "pixels cut off, truncated files padded). Vectors of one are never compared with those of the other.",
    )
    disk_reserve_gigabytes: Annotated[float, Field(ge=0, allow_inf_nan=False), Unit("GB")] = Field(
        default=2.0,
        description="Gigabytes to leave free on the disk of VISDIV_DATA: a run stops before it would use them, and "
        "finished work is kept. On disks smaller than 10 times this value, a tenth of the disk.",
    )
    similarity_floor: Annotated[float, Field(gt=0, le=1), Unit("cosine")] = Field(
        default=0.75, description="Minimum similarity of a stored pair of images."
    )
    neighbors_kept: Annotated[int, Field(ge=1), Unit("pairs")] = Field(
        default=64,
        description="Pairs stored per image: a pair is stored if it is among this many best of one of its images.",
    )
    clip_floor: Annotated[float, Field(gt=0, le=1), Unit("cosine")] = Field(
        default=0.90, description="Minimum cosine similarity of CLIP vectors of a pair of images stored in clip_pairs."
    )
    clip_neighbors_kept: Annotated[int, Field(ge=1), Unit("pairs")] = Field(
        default=8,
        description="Pairs stored per image in clip_pairs: a pair is stored if it is among this many best of one of "
        "its images. The others are only counted.",
    )
    map_points: Annotated[int, Field(ge=1, le=1_000_000), Unit("points")] = Field(
        default=20_000, description="Maximum points of a map. Subsets with more images or texts are sampled."
    )
    map_layouts: str = Field(
        default="umap,pca",
        description="Comma-separated layouts of a map, each a tab: umap, tsne, pca. Clusters are found on the first.",
    )
    copies_by: Literal["pixels", "similarity"] = Field(
        default="pixels",
        description="What makes two images copies in clusters and the clean copy: pixels (verification confirmed the "
        "pair) or similarity (at least VISDIV_DUPLICATE_THRESHOLD or VISDIV_CONTAMINATION_THRESHOLD).",
    )
    candidate_floor: Annotated[float, Field(gt=0, le=1), Unit("cosine")] = Field(
        default=0.45,
        description="Minimum similarity of a candidate pair. Verification decides which of them are copies.",
    )
    candidates_kept: Annotated[int, Field(ge=1), Unit("pairs")] = Field(
        default=16,
        description="Candidate pairs per image: the best by similarity and the best by PDQ distance. It bounds the "
        "time that many images of one template take.",
    )
    pdq_distance: Annotated[int, Field(ge=0, le=90), Unit("bits")] = Field(
        default=31,
        description="Maximum number of bits, of 256, in which the PDQ hashes of two images differ for them to be a "
        "candidate pair. The hash of one image is also compared with that of the other's negative.",
    )
    calibration_images: Annotated[int, Field(ge=0), Unit("images")] = Field(
        default=24, description="Images of a subset that calibration uses. It makes 53 copies of each."
    )
    duplicate_threshold: Annotated[float, Field(gt=0, le=1), Unit("cosine")] = Field(
        default=0.95,
        description="Minimum similarity of copies in overlaps and, with VISDIV_COPIES_BY=similarity, in clusters and "
        "the clean copy.",
    )
    contamination_threshold: Annotated[float, Field(gt=0, le=1), Unit("cosine")] = Field(
        default=0.95,
        description="Minimum similarity to an image of a benchmark at which an image counts as contaminated. With "
        "VISDIV_COPIES_BY=similarity the clean copy drops its row.",
    )
    undecided_limit: Annotated[float, Field(ge=0, le=1), Unit("share")] = Field(
        default=0.5,
        description="Share of undecided pairs among those that verification compared, above which a check warns.",
    )
    contamination_limit: Annotated[float, Field(ge=0, le=1), Unit("share")] = Field(
        default=0.05, description="Share of contaminated images of a subset above which its check warns."
    )
    text_similarity: Annotated[float, Field(ge=0.5, le=1), Unit("Jaccard similarity")] = Field(
        default=0.8,
        description="Minimum Jaccard similarity of the sets of 5-word n-grams of near-duplicate texts.",
    )
    template_images: Annotated[int, Field(ge=2), Unit("images")] = Field(
        default=10,
        description="A question with several answers that stands beside at least this many different images is a "
        "template, not a duplicate.",
    )
    ocr_sample: Annotated[int, Field(ge=0), Unit("images")] = Field(
        default=200,
        description="Images of each subset whose text `visdiv run --ocr` reads, chosen by a hash of their image_ids "
        "(0: all). It takes 1 to 4 seconds of a core per image.",
    )
    blocklist: str = Field(
        default="",
        description="File with one word or phrase per line that is looked for in texts and in the text of images: a "
        "report, which drops nothing. Empty: the English list of glin-profanity if the extra `words` is installed.",
    )
    text_contamination_share: Annotated[float, Field(gt=0, le=1), Unit("share")] = Field(
        default=0.5,
        description="Minimum share of a text's 13-word n-grams that occur in a benchmark at which its row is dropped "
        "for the reason text_contaminated.",
    )
    image_profile: Literal["basic", "cleanvision", "datacomp"] = Field(
        default="basic",
        description="Issues for which an image counts as poor, if VISDIV_DROP has image_quality: basic (dark, blurry), "
        "cleanvision (all issues of the view image_issues) or datacomp (a side under 200 pixels, or an aspect ratio "
        "above 3, as in DataComp's basic filter). A row is dropped if each of its images is poor.",
    )
    text_profile: Literal["basic", "gopher", "datacomp"] = Field(
        default="basic",
        description="Limits at which a turn counts as poor if VISDIV_DROP has text_quality: basic (empty answers, "
        "refusals, heavy repetition), gopher (also the limits on repetition of Gopher's filter) or datacomp (an answer "
        "of at most 2 words or 5 characters, or a turn that is not English, as in DataComp's basic filter). A row is "
        "dropped if each of its turns is poor.",
    )
    quality_thresholds: str = Field(
        default="none",
        description="Lowest ratings of a turn that passes: none (keep all; FineVision's authors found that filtering "
        "made training worse), blog (visual_dependency 4, image_correspondence 3, relevance 4, formatting 3), or "
        "criteria with their lowest rating, such as visual_dependency=4,formatting=3. A missing rating passes.",
    )
    quality_rule: Literal["turn", "row"] = Field(
        default="turn",
        description="When VISDIV_QUALITY_THRESHOLDS drop a row for the reason quality: turn (none of its turns passes, "
        "as in FineVision's loader) or row (one of its turns does not, as pass_quality of the blog tests the row's "
        "lowest ratings).",
    )
    row_rule: Literal["any", "all", "majority"] = Field(
        default="all",
        description="How many images of a row must be redundant for the row to be dropped as a duplicate: any (at "
        "least one), all, or majority (more than half).",
    )
    drop: str = Field(
        default="unreadable,quality,contaminated,duplicate",
        description="Comma-separated reasons for which the clean copy drops rows. Other reasons are reported only.",
    )
    keep_by: Literal["", "semdedup", "conformity", "whitened_clip", "clip_score"] = Field(
        default="",
        description="Method of selection_scores by which the clean copy keeps the best rows (VISDIV_KEEP_FRACTION); it "
        "drops the others for the reason selection. It needs CLIP vectors. Empty: no selection.",
    )
    keep_fraction: Annotated[float, Field(gt=0, le=1), Unit("share")] = Field(
        default=1.0, description="Fraction of the scored rows of all subsets that VISDIV_KEEP_BY keeps."
    )
    keep_rows: str = Field(
        default="",
        description="Parquet file of rows, as written by `visdiv select --out`: columns subset, row, image_ids and "
        "source_revision. The clean copy keeps only these rows and drops all others for the reason selection. If the "
        "files of a subset have changed, its rows are identified by their images. Empty: no selection.",
    )
    judge_url: str = Field(
        default="",
        description="OpenAI-compatible endpoint of the model that rates turns without ratings, such as "
        "http://localhost:8000/v1. Questions, answers and images of the data are sent there. Empty: nothing is rated.",
    )
    judge_model: str = Field(default="", description="Name of the judge's model at VISDIV_JUDGE_URL.")
    judge_key_file: str = Field(
        default="",
        description="File that holds the key of VISDIV_JUDGE_URL and nothing else, or env:NAME for an environment "
        "variable that holds it. Empty: no key is sent.",
    )
    judge_profile: Literal["finevision", "mlm_filter"] = Field(
        default="finevision",
        description="What the judge rates: finevision (FineVision's four criteria, 1 to 5, which the quality rules "
        "use) or mlm_filter (the four scores of the MLM filter, 1 to 100).",
    )
    judge_concurrency: Annotated[int, Field(ge=1, le=1024), Unit("requests")] = Field(
        default=16, description="Maximum number of simultaneous requests to the judge."
    )
    judge_budget: str = Field(
        default="1000 requests",
        description="Maximum that a run asks of the judge for one subset: a number of requests or of tokens, such as "
        "1000 requests or 2000000 tokens. A run that reaches it stops cleanly, and the next one continues. Empty: no "
        "limit.",
    )
    ratings_from: Literal["source_then_judge", "source", "judge"] = Field(
        default="source_then_judge",
        description="Ratings that quality rules use: source_then_judge (those of the source, and of the judge where it "
        "has none), source, or judge. With judge, the judge also rates turns that the source has rated.",
    )
    decisions: str = Field(
        default="",
        description="File of people's decisions on pairs, which override verdicts: `visdiv review` appends to it, and "
        "runs obey it. Empty: decisions.jsonl in the data folder.",
    )
    observe_cron: str = Field(
        default="0 5 * * *",
        min_length=1,
        description="When the source is checked for changes: a cron expression in UTC.",
    )
    unreadable_limit: Annotated[float, Field(ge=0, le=1), Unit("share")] = Field(
        default=0.05, description="Share of unreadable images of a subset above which its check warns."
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take values from arguments only."""
        return (init_settings,)

    @field_validator("drop")
    @classmethod
    def _check_reasons(cls, value: str) -> str:
        known = DROP_REASONS[:-1]  # the last, selection, follows from keep_by and keep_rows
        unknown = [reason for reason in value.split(",") if value and reason not in known]
        if unknown:
            raise ValueError(f"{unknown[0]!r} is not a reason to drop a row, use {', '.join(known)}")
        return value

    @field_validator("map_layouts")
    @classmethod
    def _check_layouts(cls, value: str) -> str:
        names, known = value.split(","), ("umap", "tsne", "pca")
        for name in names:
            if name not in known:
                raise ValueError(f"{name!r} is not a layout, use {', '.join(known)}")
        if len(set(names)) < len(names):
            raise ValueError("a layout is given twice")
        return value

    @model_validator(mode="after")
    def _check_thresholds(self) -> Settings:
        for name in ("duplicate_threshold", "contamination_threshold"):
            if getattr(self, name) < self.similarity_floor:
                raise ValueError(
                    f"{variable(name)} ({getattr(self, name)}) is less than {variable('similarity_floor')} "
                    f"({self.similarity_floor}): raise the first or lower the second"
                )
        return self

    @model_validator(mode="after")
    def _check_selection(self) -> Settings:
        if self.keep_by and self.keep_rows:
            raise ValueError(f"{variable('keep_by')} and {variable('keep_rows')} both select rows: set one of them")
        return self

    @field_validator("device")
    @classmethod
    def _check_device(cls, value: str) -> str:
        kind, _, index = value.partition(":")
        known = ("auto", "cpu", "cuda", "cuda:all")
        if value in known or (kind == "cuda" and index.isascii() and index.isdecimal()):
            return value
        raise ValueError("use auto, cpu, cuda, cuda:N or cuda:all")

    @field_validator("judge_url")
    @classmethod
    def _check_judge_url(cls, value: str) -> str:
        if value:
            uris.check_web_address(value)
        return value

    @field_validator("judge_key_file")
    @classmethod
    def _check_judge_key_file(cls, value: str) -> str:
        if value.startswith(_KEY_IN_ENVIRONMENT):
            if not _KEY_VARIABLE.fullmatch(value.removeprefix(_KEY_IN_ENVIRONMENT)):
                raise ValueError("it must be env: and the name of a variable, of A to Z, 0 to 9 and _, not a key")
        elif value and not Path(value).is_file():
            raise ValueError("it must be a file that holds the key, or env: and the name of a variable")
        return value

    @field_validator("judge_budget")
    @classmethod
    def _check_judge_budget(cls, value: str) -> str:
        parse_limit(value)
        return value

    @model_validator(mode="after")
    def _check_judge(self) -> Settings:
        if self.judge_url and not self.judge_model:
            raise ValueError(f"{variable('judge_url')} is set: name the model in {variable('judge_model')}, too")
        return self

    @field_validator("quality_thresholds")
    @classmethod
    def _check_quality_thresholds(cls, value: str) -> str:
        try:
            parse_thresholds(value)
        except ConfigError as error:
            raise ValueError(str(error)) from None
        return value

    @field_validator("text_columns")
    @classmethod
    def _check_text_columns(cls, value: str) -> str:
        if len(split_names(value)) > 2:
            raise ValueError("name one column of texts, or one of questions and one of answers")
        return value

    @field_validator("data")
    @classmethod
    def _check_data(cls, value: str) -> str:
        if uris.is_uri(value):
            uris.check(value)
        return value

    @field_validator("local_data")
    @classmethod
    def _check_local_data(cls, value: str) -> str:
        if uris.is_uri(value):
            raise ValueError("it must be a folder on a disk of this machine")
        return value

    @property
    def drop_reasons(self) -> tuple[str, ...]:
        """Reasons to drop a row, in the order of `DROP_REASONS`; with selection if rows are selected."""
        asked = {*self.drop.split(","), *(["selection"] if self.keep_by or self.keep_rows else [])}
        return tuple(reason for reason in DROP_REASONS if reason in asked)

    @property
    def reading(self) -> Reading:
        """What is read of the source's files."""
        return Reading(self.split, split_names(self.image_columns), split_names(self.text_columns), self.outside_files)

    @property
    def decode_limits(self) -> DecodeLimits:
        """Maximum size of an image, and how it becomes RGB."""
        return DecodeLimits(self.max_pixels, self.max_image_bytes, self.decoding)

    @property
    def is_remote(self) -> bool:
        """Whether the lake is on object storage."""
        return uris.is_uri(self.data)

    @property
    def data_folder(self) -> Path:
        """Absolute path of the local folder: of `data`, or of `local_data` if `data` is on object storage."""
        return uris.local_folder(self.local_data if self.is_remote else self.data)

    @property
    def data_variable(self) -> str:
        """Environment variable that names `data_folder`."""
        return variable("local_data" if self.is_remote else "data")

    @property
    def vectors_folder(self) -> Path:
        """Folder of the cache of vectors that are on object storage."""
        return self.data_folder / "vectors"

    @property
    def vectors_cache(self) -> str:
        """`vectors_folder` if the data is on object storage, else empty."""
        return str(self.vectors_folder) if self.is_remote else ""

    @property
    def downloads_folder(self) -> Path:
        """Folder of the cache of files from the Hub."""
        return self.data_folder / "downloads"

    @property
    def lake_root(self) -> str:
        """Folder or URI of the Parquet lake."""
        return uris.join(self.data, "lake")

    @property
    def warehouse_path(self) -> str:
        """Path of the DuckDB file that BI tools read."""
        return str(self.data_folder / "visdiv.duckdb")

    @property
    def warehouse_copy(self) -> str:
        """URI of the copy of the DuckDB file on object storage; empty if the data is on a disk."""
        return uris.join(self.data, "visdiv.duckdb") if self.is_remote else ""

    @property
    def reports_folder(self) -> Path:
        """Folder of the HTML reports."""
        return self.data_folder / "reports"

    @property
    def decisions_path(self) -> str:
        """Absolute path of the file of people's decisions on pairs; the file need not exist."""
        return str(Path(self.decisions).absolute() if self.decisions else self.data_folder / "decisions.jsonl")

    @property
    def judge_answers(self) -> str:
        """File of the cache of the judge's answers."""
        return str(self.data_folder / "judge" / "answers.sqlite")

    @property
    def weights_folder(self) -> str:
        """Folder of downloaded model weights."""
        return str(self.data_folder / "weights")


def split_names(value: str) -> tuple[str, ...]:
    """Return the names in a comma-separated list."""
    return tuple(name.strip() for name in value.split(",") if name.strip())


def variable(name: str) -> str:
    """Return the environment variable of a setting: `source` -> `VISDIV_SOURCE`."""
    return PREFIX + name.upper()


def load_settings(
    environment: Mapping[str, str] | None = None, *, options: Mapping[str, str | None] | None = None
) -> Settings:
    """Read the settings; see the module's docstring for the order of precedence.

    Args:
        environment: variables by name; the process environment if None.
        options: values of command-line options by setting; None: the option was not given.

    Raises:
        ConfigError: the file cannot be read, a name in it or a variable that begins with VISDIV_ is not a setting, or
            a value is invalid.
    """
    environment = os.environ if environment is None else environment
    path = config_file(environment)
    in_file = _read_file(path) if path else {}
    given = {name: value for name, value in (options or {}).items() if value is not None}
    in_environment = _read_environment(environment)
    labels = {
        **{name: f"{name} in {path}" for name in in_file},
        **{name: variable(name) for name in in_environment},
        **{name: f"--{name}" for name in given},
    }
    try:
        return Settings(**{**in_file, **in_environment, **given})
    except StorageError as error:
        # Its text leaves out credentials, which the value may hold.
        raise ConfigError(f"invalid value for {labels['data']}: {error}") from None
    except ValidationError as error:
        first = error.errors()[0]
    reason = first["msg"].removeprefix("Value error, ")
    if first["loc"]:
        name = str(first["loc"][0])
        shown = f"({reason})" if name in _NOT_REPEATED else f"{first['input']!r} ({reason})"
        raise ConfigError(f"invalid value for {labels[name]}: {shown}")
    # Validators of several settings name them by their variables.
    raise ConfigError(re.sub(rf"{PREFIX}([A-Z_]+)", lambda found: labels.get(found[1].lower(), found[0]), reason))


def with_profiles(settings: Settings, names: Sequence[str]) -> Settings:
    """Return settings with those of some of the `PROFILES`; of a setting in several, the last one counts."""
    given = {name: getattr(settings, name) for name in settings.model_fields_set}
    for name in names:
        given |= PROFILES[name]
    return Settings(**given)


def config_file(environment: Mapping[str, str] | None = None) -> Path | None:
    """Return the file that settings are read from; None if there is none.

    Raises:
        ConfigError: VISDIV_CONFIG names something that is not a file.
    """
    environment = os.environ if environment is None else environment
    if CONFIG_VARIABLE not in environment:
        return path if (path := Path(CONFIG_FILE)).is_file() else None
    named = environment[CONFIG_VARIABLE]
    if named and not Path(named).is_file():
        raise ConfigError(f"invalid value for {CONFIG_VARIABLE}: {named!r} (it is not a file)")
    return Path(named) if named else None


def _read_file(path: Path) -> dict[str, Any]:
    try:
        values = TomlConfigSettingsSource(Settings, path).toml_data
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid TOML: {error}") from None
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from None
    for name, value in values.items():
        if name not in Settings.model_fields:
            if isinstance(value, dict):
                raise ConfigError(f"{path} has a table [{name}]: write the settings at the top level, without tables")
            raise ConfigError(_explain_unknown(f"{name} in {path}", name))
    return dict(values)


def _read_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    known = {variable(name) for name in Settings.model_fields}
    for key in environment:
        if key.startswith(PREFIX) and key not in known and key != CONFIG_VARIABLE:
            raise ConfigError(_explain_unknown(key, key, show=variable))
    source = EnvSettingsSource(Settings)
    # It looks variables up in lower case; other programs' variables may be spelled so.
    source.env_vars = {key.lower(): environment[key] for key in known & environment.keys()}
    return source()


def _explain_unknown(label: str, name: str, show: Callable[[str], str] = str) -> str:
    name = name.lower().removeprefix(PREFIX.lower())
    meant = RENAMED.get(name)
    hint = f"did you mean {show(meant)}?" if meant else did_you_mean(name, Settings.model_fields, count=1, show=show)
    return f"{label} is not a setting: {hint}{' ' * bool(hint)}`visdiv settings` lists them all"


def misspelled_variables(environment: Mapping[str, str] | None = None) -> list[tuple[str, str]]:
    """Return variables with a misspelled prefix, each with the one that is probably meant, sorted."""
    environment = os.environ if environment is None else environment
    known = [variable(name) for name in Settings.model_fields]
    return [
        (key, close[0])
        for key in sorted(environment)
        if not key.startswith(PREFIX) and (close := difflib.get_close_matches(key.upper(), known, n=1, cutoff=0.9))
    ]


def exported_variables(settings: Settings, environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return environment variables that make a process in another working directory load the same settings.

    They hold the paths, made absolute, and the file of settings; other variables are inherited.
    """
    paths = {name: path for name in _PATHS if (path := getattr(settings, name))}
    # Otherwise it is empty, or the name of a model on the Hub.
    if settings.clip_model and Path(settings.clip_model).expanduser().is_dir():
        paths["clip_model"] = settings.clip_model
    file = config_file(environment)
    if settings.judge_key_file and not settings.judge_key_file.startswith(_KEY_IN_ENVIRONMENT):
        paths["judge_key_file"] = settings.judge_key_file
    return {
        CONFIG_VARIABLE: str(file.absolute()) if file else "",
        **{variable(name): path if "://" in path else str(Path(path).absolute()) for name, path in paths.items()},
    }


def dagster_home(settings: Settings, environment: Mapping[str, str] | None = None) -> Path:
    """Return the folder of Dagster's own state: DAGSTER_HOME if it is set, else `dagster/` in the data folder."""
    environment = os.environ if environment is None else environment
    return Path(environment.get("DAGSTER_HOME") or settings.data_folder / "dagster").absolute()


def judge_key(key_file: str, environment: Mapping[str, str] | None = None) -> str:
    """Return the key of the judge's endpoint; empty if the setting is.

    Args:
        key_file: the setting `judge_key_file`.
        environment: variables by name; the process environment if None.

    Raises:
        ConfigError: there is no key where the setting says. The message holds nothing of what was found instead.
    """
    if not key_file:
        return ""
    label = variable("judge_key_file")
    if key_file.startswith(_KEY_IN_ENVIRONMENT):
        environment = os.environ if environment is None else environment
        key = environment.get(key_file.removeprefix(_KEY_IN_ENVIRONMENT), "").strip()
    else:
        try:
            key = Path(key_file).read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError):
            raise ConfigError(f"the file that {label} names cannot be read: correct it or its permissions") from None
    if not key or not (key.isascii() and key.isprintable()) or " " in key:
        raise ConfigError(f"what {label} names holds no key: write the key there, and nothing else")
    return key


def ray_address(environment: Mapping[str, str] | None = None) -> str:
    """Return RAY_ADDRESS, Ray's own variable for the address of its cluster; empty if it is not set."""
    environment = os.environ if environment is None else environment
    return environment.get("RAY_ADDRESS", "")
