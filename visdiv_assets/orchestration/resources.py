"""Dagster resources: configured handles on the rooms, requested by assets by type.

No logic belongs here. A field made by `from_setting` has the default and the description of its setting, so that the
launchpad shows what `visdiv settings` shows; `SettingsResource.from_settings` fills all fields.
"""

import json
from dataclasses import asdict
from functools import cache, lru_cache, partial
from pathlib import Path
from typing import Any, Self, TypeVar

import dagster as dg
from pydantic import BaseModel, Field, PrivateAttr, ValidationError, create_model, model_validator

from visdiv_assets import embedding, sources
from visdiv_assets.curation.reasons import DROP_REASONS
from visdiv_assets.curation.rules import Rules
from visdiv_assets.curation.selection.keep_masks import Selection
from visdiv_assets.devices import ALL_DEVICES, cuda_devices, resolve_device
from visdiv_assets.duplicates.person_decisions import Decisions, read_decisions
from visdiv_assets.embedding.clip.checkpoints import NoClipWeightsError, find_checkpoint
from visdiv_assets.embedding.regions import RegionEmbedder
from visdiv_assets.errors import ConfigError
from visdiv_assets.imaging.limits import DecodeLimits, Decoding
from visdiv_assets.orchestration import sessions
from visdiv_assets.orchestration.engines import Engine, LocalEngine, PerProcess, ProcessEngine, RayEngine, Worker
from visdiv_assets.orchestration.work.ingest import Load
from visdiv_assets.orchestration.work.text_duplicates import TextRules
from visdiv_assets.publishing.maps.subset import MapRules
from visdiv_assets.settings import Settings, judge_key, ray_address
from visdiv_assets.storage.disk_space import GIGABYTE
from visdiv_assets.storage.lake import Lake, lake_at
from visdiv_assets.threads import thread_count
from visdiv_assets.wiring import describe_publication, open_source

ResourceT = TypeVar("ResourceT", bound="SettingsResource")

#: Key under which a field keeps the name of its setting.
_SETTING = "visdiv_setting"


def from_setting(name: str) -> Any:
    """Return a field with the default and the description of a setting."""
    field = Settings.model_fields[name]
    return Field(field.default, description=field.description, json_schema_extra={_SETTING: name})


def from_property(name: str, description: str) -> Any:
    """Return a required field whose value is a property of `Settings`."""
    return Field(description=description, json_schema_extra={_SETTING: name})


class SettingsResource(dg.ConfigurableResource):
    """A resource whose fields are settings."""

    @classmethod
    def setting_names(cls) -> dict[str, str]:
        """Return the setting of each field."""
        extras = {name: field.json_schema_extra for name, field in cls.model_fields.items()}
        return {name: str(extra[_SETTING]) for name, extra in extras.items() if isinstance(extra, dict)}

    @classmethod
    def from_settings(cls: type[ResourceT], settings: Settings) -> ResourceT:
        """Return the resource that the settings describe."""
        return cls(**cls._values(settings))

    @classmethod
    def _values(cls, settings: Settings) -> dict[str, Any]:
        return {name: _as_config(getattr(settings, setting)) for name, setting in cls.setting_names().items()}


def _as_config(value: Any) -> Any:
    """Convert a value to what Dagster's config accepts."""
    if isinstance(value, tuple):
        return list(value)
    return str(value) if isinstance(value, Path) else value


def _check_value(label: str, setting: str, value: Any) -> None:
    """Raise a ConfigError if a value is outside the range, or not among the choices, of a setting."""
    try:
        _value_model(setting)(value=value)
    except ValidationError as error:
        raise ConfigError(f"invalid value for {label}: {value!r} ({error.errors()[0]['msg']})") from None


@cache
def _value_model(setting: str) -> type[BaseModel]:
    field: Any = Settings.model_fields[setting]
    return create_model("Value", value=(field.annotation, field))


class LaunchpadResource(SettingsResource):
    """A resource that people edit in the launchpad, which checks no ranges itself."""

    @model_validator(mode="after")
    def _check_values(self) -> Self:
        """Refuse a value, as one edited in the launchpad, that the setting would refuse."""
        for name, setting in self.setting_names().items():
            if setting in Settings.model_fields:
                _check_value(f"{setting} ({type(self).__name__}.{name})", setting, getattr(self, name))
        return self


class SourceResource(SettingsResource):
    """The source of rows."""

    uri: str = from_setting("source")
    data: str = from_setting("data")
    local_data: str = from_setting("local_data")
    benchmark_catalog: str = from_setting("benchmark_catalog")
    benchmark_list: str = from_setting("benchmark_list")
    split: str = from_setting("split")
    image_columns: str = from_setting("image_columns")
    text_columns: str = from_setting("text_columns")
    outside_files: bool = from_setting("outside_files")
    download_cache_gigabytes: float = from_setting("download_cache_gigabytes")
    download_threads: int = from_setting("download_threads")
    disk_reserve_gigabytes: float = from_setting("disk_reserve_gigabytes")
    _opened: sources.Source | None = PrivateAttr(default=None)

    @property
    def is_remote(self) -> bool:
        """Whether listing the source sends requests to a server."""
        return "://" in self.uri

    def open(self) -> sources.Source:
        """Open the source, once per run, so that all its stages see the same state of a remote source."""
        if self._opened is None:
            self._opened = open_source(self._settings())
        return self._opened

    def in_each_process(self) -> PerProcess[sources.Source]:
        """Return the source for work that may run in other processes."""
        return PerProcess(partial(open_source, self._settings()), self.open())

    def _settings(self) -> Settings:
        return Settings(**{setting: getattr(self, name) for name, setting in self.setting_names().items()})


class LakeResource(SettingsResource):
    """The Parquet lake."""

    root: str = from_property("lake_root", "Folder or URI of the lake.")
    disk_reserve_gigabytes: float = from_setting("disk_reserve_gigabytes")
    vectors_folder: str = from_property("vectors_cache", "Cache of vectors on object storage; empty: none.")
    vector_cache_gigabytes: float = from_setting("vector_cache_gigabytes")

    def setup_for_execution(self, context: dg.InitResourceContext) -> None:
        """Tag a run with the session of its process, so that others can find out whether it was killed."""
        instance, run = context.instance, context.run
        if instance and run and not instance.is_ephemeral and sessions.TAG not in run.tags:
            session = sessions.of_this_process(Path(instance.root_directory))
            instance.add_run_tags(run.run_id, {sessions.TAG: session.name})

    def open(self) -> Lake:
        """Open the lake."""
        return self._opener()()

    def in_each_process(self) -> PerProcess[Lake]:
        """Return the lake for work that may run in other processes and only reads."""
        return PerProcess(self._opener(), self.open())

    def _opener(self) -> partial[Lake]:
        return partial(
            lake_at,
            self.root,
            reserve_bytes=round(self.disk_reserve_gigabytes * GIGABYTE),
            vectors_folder=self.vectors_folder,
            cache_bytes=round(self.vector_cache_gigabytes * GIGABYTE),
        )


class EngineResource(SettingsResource):
    """The engine that does the heavy work of a partition."""

    engine: str = from_setting("engine")
    device: str = from_setting("device")
    threads: int = from_setting("threads")
    ray_workers: int = from_setting("ray_workers")
    ray_gpus: float = from_setting("ray_gpus")

    def open(self) -> Engine:
        """Return the engine. All runs of a process share it, with its workers and their models."""
        return _engine(self.engine, self.device, self.threads, self.ray_workers, self.ray_gpus, ray_address())


@lru_cache(maxsize=1)
def _engine(engine: str, device: str, threads: int, ray_workers: int, ray_gpus: float, address: str) -> Engine:
    if engine == "ray":
        # Ray gives each worker one device, which is the only one that the worker sees.
        worker = Worker("cuda" if device == ALL_DEVICES else device, threads or 1)
        return RayEngine(address, worker, workers=ray_workers, gpus=ray_gpus)
    here = Worker(device, thread_count(threads))
    if device != ALL_DEVICES:
        return LocalEngine(here)
    devices = cuda_devices()
    return ProcessEngine([Worker(each, max(here.threads // len(devices), 1)) for each in devices], here)


class DecoderResource(LaunchpadResource):
    """How images are decoded."""

    threads: int = from_setting("threads")
    max_pixels: int = from_setting("max_pixels")
    max_image_bytes: int = from_setting("max_image_bytes")
    decoding: Decoding = from_setting("decoding")
    unreadable_limit: float = from_setting("unreadable_limit")

    @property
    def thread_count(self) -> int:
        """Number of threads."""
        return thread_count(self.threads)

    @property
    def limits(self) -> DecodeLimits:
        """Maximum size of an image, and how it becomes RGB."""
        return DecodeLimits(self.max_pixels, self.max_image_bytes, self.decoding)


class ProductsResource(SettingsResource):
    """The optional products of images that are stored."""

    thumbnail_side: int = from_setting("thumbnail_side")
    local_features: bool = from_setting("local_features")
    regions: bool = from_setting("regions")


class SscdResource(SettingsResource):
    """The SSCD embedder."""

    model: str = from_setting("sscd_model")
    device: str = from_setting("device")
    weights: str = from_setting("sscd_weights")
    weights_folder: str = from_property("weights_folder", "Folder of downloaded weights.")
    batch_size: int = from_setting("batch_size")
    decoding: Decoding = from_setting("decoding")

    def load(self) -> embedding.Embedder:
        """Load the model, once per process."""
        return self.loader()(self.device)

    def loader(self) -> Load:
        """Return a function that loads the model on a device, in this or another process."""
        return partial(_load, self.model, self.weights, self.weights_folder, self.batch_size, self.decoding)

    def regions(self) -> Load:
        """Return a function that loads the embedder of regions; a process loads the model once for both."""
        return partial(_load_regions, self.loader())


@lru_cache(maxsize=1)
def _load(
    model: str, weights: str, weights_folder: str, batch_size: int, decoding: Decoding, device: str
) -> embedding.Embedder:
    return embedding.load(
        model,
        device=device,
        weights=weights,
        weights_folder=weights_folder,
        batch_size=batch_size,
        decoding=decoding,
    )


def _load_regions(load: Load, device: str) -> embedding.Embedder:
    return RegionEmbedder(load(device))


class ClipResource(SettingsResource):
    """The CLIP embedders of images and of texts."""

    model: str = from_setting("clip_model")
    crop: str = from_setting("clip_crop")
    text: str = from_setting("clip_text")
    text_prefix: str = from_setting("clip_text_prefix")
    text_windows: bool = from_setting("clip_text_windows")
    device: str = from_setting("device")
    batch_size: int = from_setting("batch_size")
    decoding: Decoding = from_setting("decoding")

    def images(self) -> Load:
        """Return a function that loads the image embedder; a process loads the model once for both embedders."""
        return partial(_load_clip, self.model, self.crop, self.batch_size, self.decoding)

    def missing_weights(self) -> str:
        """Return why there are no weights; empty if there are.

        Raises:
            ModelError: the setting is invalid.
        """
        try:
            find_checkpoint(self.model)
        except NoClipWeightsError as reason:
            return str(reason)
        return ""

    def prompts(self) -> embedding.ClipTexts:
        """Load the embedder of prompts, without the prefix and the windows of the texts of turns."""
        return embedding.load_clip_texts(self.model, device=self.device)

    def texts(self) -> embedding.ClipTexts:
        """Load the embedder of the texts of turns."""
        return embedding.load_clip_texts(
            self.model, device=self.device, windows=self.text_windows, prefix=self.text_prefix
        )


def _load_clip(model: str, crop: str, batch_size: int, decoding: Decoding, device: str) -> embedding.Embedder:
    return embedding.load_clip_images(model, device=device, crop=crop, batch_size=batch_size, decoding=decoding)


class PairSearchResource(LaunchpadResource):
    """Which pairs of images are stored."""

    similarity_floor: float = from_setting("similarity_floor")
    neighbors_kept: int = from_setting("neighbors_kept")


class ClipPairsResource(LaunchpadResource):
    """Which pairs of images are stored because their CLIP vectors are similar."""

    floor: float = from_setting("clip_floor")
    neighbors_kept: int = from_setting("clip_neighbors_kept")
    device: str = from_setting("device")

    def joins_on(self) -> str:
        """Return the device that compares vectors."""
        return resolve_device(self.device)


class MapsResource(LaunchpadResource):
    """How maps are drawn."""

    points: int = from_setting("map_points")
    layouts: str = from_setting("map_layouts")
    template_images: int = from_setting("template_images")

    def rules(self) -> MapRules:
        """Return how maps are drawn."""
        return MapRules(self.points, tuple(self.layouts.split(",")), self.template_images)


class VerificationResource(LaunchpadResource):
    """Which pairs of images have their pixels compared."""

    candidate_floor: float = from_setting("candidate_floor")
    candidates_kept: int = from_setting("candidates_kept")
    pdq_distance: int = from_setting("pdq_distance")
    undecided_limit: float = from_setting("undecided_limit")


class TextRulesResource(SettingsResource):
    """What duplicate texts are."""

    near_similarity: float = from_setting("text_similarity")
    template_images: int = from_setting("template_images")

    def rules(self) -> TextRules:
        """Return the rules by which texts are compared."""
        return TextRules(self.near_similarity, self.template_images)


class OcrResource(LaunchpadResource):
    """How many images have their text read."""

    sample: int = from_setting("ocr_sample")


class WordsResource(SettingsResource):
    """The list of words that are looked for in texts."""

    blocklist: str = from_setting("blocklist")


class CalibrationResource(LaunchpadResource):
    """The size of the sample that calibration measures."""

    images: int = from_setting("calibration_images")


class CleaningResource(LaunchpadResource):
    """Which rows the clean copy drops."""

    copies_by: str = from_setting("copies_by")
    duplicate_threshold: float = from_setting("duplicate_threshold")
    contamination_threshold: float = from_setting("contamination_threshold")
    contamination_limit: float = from_setting("contamination_limit")
    text_contamination_share: float = from_setting("text_contamination_share")
    image_profile: str = from_setting("image_profile")
    text_profile: str = from_setting("text_profile")
    row_rule: str = from_setting("row_rule")
    drop: list[str] = from_property("drop_reasons", "Reasons for which the clean copy drops rows.")
    keep_by: str = from_setting("keep_by")
    keep_fraction: float = from_setting("keep_fraction")
    keep_rows: str = from_setting("keep_rows")

    @property
    def reasons(self) -> tuple[str, ...]:
        """Reasons that count, in the order of `DROP_REASONS`; with selection if rows are selected.

        Raises:
            ConfigError: one of them is not a reason to drop a row.
        """
        unknown = [reason for reason in self.drop if reason not in DROP_REASONS]
        if unknown:
            raise ConfigError(f"{unknown[0]!r} is not a reason to drop a row: use {', '.join(DROP_REASONS[:-1])}")
        chosen = {*self.drop, *(["selection"] if self.keep_by or self.keep_rows else [])}
        return tuple(reason for reason in DROP_REASONS if reason in chosen)

    @property
    def selection(self) -> Selection:
        """Which rows are selected."""
        return Selection(keep_by=self.keep_by, keep_fraction=self.keep_fraction, keep_rows=self.keep_rows)

    def rules(self, similarity_floor: float) -> Rules:
        """Return the rules by which rows are decided on, where pairs are stored from a similarity on.

        Raises:
            ConfigError: a threshold is below that similarity, or a reason to drop rows is unknown.
        """
        for name in ("duplicate_threshold", "contamination_threshold"):
            if getattr(self, name) < similarity_floor:
                raise ConfigError(
                    f"{name} ({getattr(self, name)}) is less than similarity_floor ({similarity_floor}): raise the "
                    "first, or store pairs from a lower similarity on"
                )
        return Rules(
            similarity_floor,
            self.copies_by,
            self.duplicate_threshold,
            self.contamination_threshold,
            self.text_contamination_share,
            self.image_profile,
            self.text_profile,
            self.row_rule,
            self.reasons,
            self.selection,
        )


class QualityResource(LaunchpadResource):
    """The thresholds of the quality ratings."""

    thresholds: str = from_setting("quality_thresholds")
    rule: str = from_setting("quality_rule")


class ReviewResource(SettingsResource):
    """People's decisions on pairs of images."""

    path: str = from_property("decisions_path", "File of the decisions; see VISDIV_DECISIONS. It need not exist.")

    def decisions(self) -> Decisions:
        """Read the decisions that count."""
        return read_decisions(self.path)


class JudgeResource(SettingsResource):
    """The judge that rates turns, and whose ratings count. It holds the name of the key's file, never the key."""

    url: str = from_setting("judge_url")
    model: str = from_setting("judge_model")
    key_file: str = from_setting("judge_key_file")
    profile: str = from_setting("judge_profile")
    concurrency: int = from_setting("judge_concurrency")
    budget: str = from_setting("judge_budget")
    ratings_from: str = from_setting("ratings_from")
    answers: str = from_property("judge_answers", "File of the cache of answers.")

    def key(self) -> str:
        """Read the key; empty if there is none."""
        return judge_key(self.key_file)


class ReportsResource(SettingsResource):
    """The HTML reports."""

    folder: str = from_property("reports_folder", "Folder of the reports.")


class WarehouseResource(SettingsResource):
    """The DuckDB file that BI tools read."""

    path: str = from_property("warehouse_path", "Path of the file.")
    copy_to: str = from_property("warehouse_copy", "URI of its copy on object storage; empty: none.")
    publication: str = Field("{}", description="Content of the table `meta`, as JSON.")

    @classmethod
    def _values(cls, settings: Settings) -> dict[str, Any]:
        return {**super()._values(settings), "publication": json.dumps(asdict(describe_publication(settings)))}


RESOURCES: dict[str, type[SettingsResource]] = {
    "source": SourceResource,
    "lake": LakeResource,
    "engine": EngineResource,
    "decoder": DecoderResource,
    "products": ProductsResource,
    "sscd": SscdResource,
    "clip": ClipResource,
    "pair_search": PairSearchResource,
    "clip_pair_search": ClipPairsResource,
    "map_settings": MapsResource,
    "verification": VerificationResource,
    "text_rules": TextRulesResource,
    "ocr": OcrResource,
    "word_list": WordsResource,
    "calibration_settings": CalibrationResource,
    "cleaning": CleaningResource,
    "review": ReviewResource,
    "quality_filter": QualityResource,
    "judge": JudgeResource,
    "reports": ReportsResource,
    "warehouse_file": WarehouseResource,
}


def build_resources(settings: Settings) -> dict[str, dg.ConfigurableResource]:
    """Return all resources by the names that assets use."""
    return {name: resource.from_settings(settings) for name, resource in RESOURCES.items()}
