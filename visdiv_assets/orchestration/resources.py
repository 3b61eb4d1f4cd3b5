"""The Dagster resources: thin, configured handles on the rooms below.

Belongs here: what assets ask for by type. Does not: logic. They are bound once, in `definitions.build_definitions`.
"""

import json
from dataclasses import asdict
from functools import lru_cache, partial

import dagster as dg
from pydantic import Field, PrivateAttr

from visdiv_assets import embedding, sources
from visdiv_assets.curation.selection.keep_masks import Selection
from visdiv_assets.devices import ALL_DEVICES, cuda_devices, resolve_device
from visdiv_assets.imaging.limits import DecodeLimits
from visdiv_assets.orchestration.engines import Engine, LocalEngine, PerProcess, ProcessEngine, RayEngine, Worker
from visdiv_assets.orchestration.work.embed import Load
from visdiv_assets.settings import Settings, ray_address
from visdiv_assets.sources.catalog import FINEVISION_LIST
from visdiv_assets.storage.disk_space import GIGABYTE
from visdiv_assets.storage.lake import Lake, lake_at
from visdiv_assets.threads import thread_count
from visdiv_assets.wiring import describe_publication, open_source


class SourceResource(dg.ConfigurableResource):
    """Where rows come from."""

    uri: str = Field(description=str(Settings.model_fields["source"].description))
    data: str = Field("data/local", description=str(Settings.model_fields["data"].description))
    local_data: str = Field("data/local/remote", description=str(Settings.model_fields["local_data"].description))
    benchmark_catalog: str = Field("", description=str(Settings.model_fields["benchmark_catalog"].description))
    benchmark_list: str = Field(FINEVISION_LIST, description=str(Settings.model_fields["benchmark_list"].description))
    download_cache_gigabytes: float = Field(
        50.0, description=str(Settings.model_fields["download_cache_gigabytes"].description)
    )
    download_threads: int = Field(4, description=str(Settings.model_fields["download_threads"].description))
    disk_reserve_gigabytes: float = Field(
        2.0, description=str(Settings.model_fields["disk_reserve_gigabytes"].description)
    )
    _opened: sources.Source | None = PrivateAttr(default=None)

    @property
    def is_remote(self) -> bool:
        """Whether looking at the source takes requests to a server."""
        return "://" in self.uri

    def open(self) -> sources.Source:
        """Open the source. A run opens it once, so that all its stages see one state of a remote one."""
        if self._opened is None:
            self._opened = open_source(self._settings())
        return self._opened

    def in_each_process(self) -> PerProcess[sources.Source]:
        """The source for work that may be done elsewhere."""
        return PerProcess(partial(open_source, self._settings()), self.open())

    def _settings(self) -> Settings:
        values = {
            "source": self.uri,
            "data": self.data,
            "local_data": self.local_data,
            "benchmark_catalog": self.benchmark_catalog,
            "benchmark_list": self.benchmark_list,
            "download_cache_gigabytes": self.download_cache_gigabytes,
            "download_threads": self.download_threads,
            "disk_reserve_gigabytes": self.disk_reserve_gigabytes,
        }
        return Settings.model_validate(values)


class LakeResource(dg.ConfigurableResource):
    """The Parquet lake."""

    root: str = Field(description="Folder or URI of the lake.")
    disk_reserve_gigabytes: float = Field(description=str(Settings.model_fields["disk_reserve_gigabytes"].description))
    vectors_folder: str = Field("", description="Folder for copies of vectors that lie on object storage; empty: none.")
    vector_cache_gigabytes: float = Field(
        50.0, description=str(Settings.model_fields["vector_cache_gigabytes"].description)
    )

    def open(self) -> Lake:
        """Open the lake."""
        return self._opener()()

    def in_each_process(self) -> PerProcess[Lake]:
        """The lake for work that may be done elsewhere, which reads it only."""
        return PerProcess(self._opener(), self.open())

    def _opener(self) -> partial[Lake]:
        return partial(
            lake_at,
            self.root,
            reserve_bytes=round(self.disk_reserve_gigabytes * GIGABYTE),
            vectors_folder=self.vectors_folder,
            cache_bytes=round(self.vector_cache_gigabytes * GIGABYTE),
        )


class EngineResource(dg.ConfigurableResource):
    """Where the heavy work of a partition is done."""

    engine: str = Field("local", description=str(Settings.model_fields["engine"].description))
    device: str = Field(description=str(Settings.model_fields["device"].description))
    threads: int = Field(description=str(Settings.model_fields["threads"].description))
    ray_workers: int = Field(0, description=str(Settings.model_fields["ray_workers"].description))
    ray_gpus: float = Field(0.0, description=str(Settings.model_fields["ray_gpus"].description))

    def open(self) -> Engine:
        """The engine; all runs of a process share one, and its workers with their models."""
        return _engine(self.engine, self.device, self.threads, self.ray_workers, self.ray_gpus, ray_address())


@lru_cache(maxsize=1)
def _engine(engine: str, device: str, threads: int, ray_workers: int, ray_gpus: float, address: str) -> Engine:
    if engine == "ray":
        # The workers are given one device each, which to them is the only one.
        worker = Worker("cuda" if device == ALL_DEVICES else device, threads or 1)
        return RayEngine(address, worker, workers=ray_workers, gpus=ray_gpus)
    here = Worker(device, thread_count(threads))
    if device != ALL_DEVICES:
        return LocalEngine(here)
    devices = cuda_devices()
    return ProcessEngine([Worker(each, max(here.threads // len(devices), 1)) for each in devices], here)


class DecoderResource(dg.ConfigurableResource):
    """How images are decoded."""

    threads: int = Field(description=str(Settings.model_fields["threads"].description))
    max_pixels: int = Field(description=str(Settings.model_fields["max_pixels"].description))
    max_image_bytes: int = Field(description=str(Settings.model_fields["max_image_bytes"].description))
    unreadable_limit: float = Field(description=str(Settings.model_fields["unreadable_limit"].description))

    @property
    def thread_count(self) -> int:
        """Threads to use."""
        return thread_count(self.threads)

    @property
    def limits(self) -> DecodeLimits:
        """What an image may have at most."""
        return DecodeLimits(self.max_pixels, self.max_image_bytes)


class SscdResource(dg.ConfigurableResource):
    """The SSCD embedder."""

    model: str = Field(description=str(Settings.model_fields["sscd_model"].description))
    device: str = Field(description=str(Settings.model_fields["device"].description))
    weights: str = Field(description=str(Settings.model_fields["sscd_weights"].description))
    weights_folder: str = Field(description="Folder where fetched weights are kept.")
    batch_size: int = Field(description=str(Settings.model_fields["batch_size"].description))

    def load(self) -> embedding.Embedder:
        """Load the model; a process that embeds several subsets loads it once."""
        return self.loader()(self.device)

    def loader(self) -> Load:
        """A function that loads the model on a device, here or in another process."""
        return partial(_load, self.model, self.weights, self.weights_folder, self.batch_size)


@lru_cache(maxsize=1)
def _load(model: str, weights: str, weights_folder: str, batch_size: int, device: str) -> embedding.Embedder:
    return embedding.load(model, device=device, weights=weights, weights_folder=weights_folder, batch_size=batch_size)


class ClipResource(dg.ConfigurableResource):
    """The CLIP embedders: of images, and of texts."""

    model: str = Field(description=str(Settings.model_fields["clip_model"].description))
    crop: str = Field(description=str(Settings.model_fields["clip_crop"].description))
    text: str = Field(description=str(Settings.model_fields["clip_text"].description))
    text_windows: bool = Field(description=str(Settings.model_fields["clip_text_windows"].description))
    device: str = Field(description=str(Settings.model_fields["device"].description))
    batch_size: int = Field(description=str(Settings.model_fields["batch_size"].description))

    def images(self) -> Load:
        """A function that loads the embedder of images; the model is loaded once in a process, for both."""
        return partial(_load_clip, self.model, self.crop, self.batch_size)

    def texts(self) -> embedding.ClipTexts:
        """Load the embedder of texts."""
        return embedding.load_clip_texts(self.model, device=self.device, windows=self.text_windows)


def _load_clip(model: str, crop: str, batch_size: int, device: str) -> embedding.Embedder:
    return embedding.load_clip_images(model, device=device, crop=crop, batch_size=batch_size)


class PairSearchResource(dg.ConfigurableResource):
    """Which pairs of images are stored."""

    similarity_floor: float = Field(description=str(Settings.model_fields["similarity_floor"].description))
    neighbors_kept: int = Field(description=str(Settings.model_fields["neighbors_kept"].description))


class ClipPairsResource(dg.ConfigurableResource):
    """Which pairs of images that are close to CLIP are stored."""

    floor: float = Field(description=str(Settings.model_fields["clip_floor"].description))
    neighbors_kept: int = Field(description=str(Settings.model_fields["neighbors_kept"].description))
    device: str = Field(description=str(Settings.model_fields["device"].description))

    def joins_on(self) -> str:
        """The device that compares vectors."""
        return resolve_device(self.device)


class MapsResource(dg.ConfigurableResource):
    """How large maps are."""

    points: int = Field(description=str(Settings.model_fields["map_points"].description))


class VerificationResource(dg.ConfigurableResource):
    """Which pairs of images have their pixels compared."""

    candidate_floor: float = Field(description=str(Settings.model_fields["candidate_floor"].description))
    candidates_kept: int = Field(description=str(Settings.model_fields["candidates_kept"].description))
    pdq_distance: int = Field(description=str(Settings.model_fields["pdq_distance"].description))


class CalibrationResource(dg.ConfigurableResource):
    """How much calibration measures."""

    images: int = Field(description=str(Settings.model_fields["calibration_images"].description))


class CleaningResource(dg.ConfigurableResource):
    """What a clean copy leaves out."""

    copies_by: str = Field(description=str(Settings.model_fields["copies_by"].description))
    duplicate_threshold: float = Field(description=str(Settings.model_fields["duplicate_threshold"].description))
    contamination_threshold: float = Field(
        description=str(Settings.model_fields["contamination_threshold"].description)
    )
    contamination_limit: float = Field(description=str(Settings.model_fields["contamination_limit"].description))
    row_rule: str = Field(description=str(Settings.model_fields["row_rule"].description))
    drop: list[str] = Field(description=str(Settings.model_fields["drop"].description))
    keep_by: str = Field("", description=str(Settings.model_fields["keep_by"].description))
    keep_fraction: float = Field(1.0, description=str(Settings.model_fields["keep_fraction"].description))
    keep_rows: str = Field("", description=str(Settings.model_fields["keep_rows"].description))

    @property
    def selection(self) -> Selection:
        """Which rows are selected."""
        return Selection(keep_by=self.keep_by, keep_fraction=self.keep_fraction, keep_rows=self.keep_rows)


class ReportsResource(dg.ConfigurableResource):
    """Where HTML reports are written."""

    folder: str = Field(description="The folder.")


class WarehouseResource(dg.ConfigurableResource):
    """The DuckDB file that BI tools read."""

    path: str = Field(description="The file.")
    copy_to: str = Field("", description="Where it is copied to on object storage; empty: nowhere.")
    publication: str = Field("{}", description="Content of the table meta, as JSON.")


def build_resources(settings: Settings) -> dict[str, dg.ConfigurableResource]:
    """All resources, by the name that assets ask for."""
    return {
        "source": SourceResource(
            uri=settings.source,
            data=settings.data,
            local_data=settings.local_data,
            benchmark_catalog=settings.benchmark_catalog,
            benchmark_list=settings.benchmark_list,
            download_cache_gigabytes=settings.download_cache_gigabytes,
            download_threads=settings.download_threads,
            disk_reserve_gigabytes=settings.disk_reserve_gigabytes,
        ),
        "lake": LakeResource(
            root=settings.lake_root,
            disk_reserve_gigabytes=settings.disk_reserve_gigabytes,
            vectors_folder=str(settings.vectors_folder) if settings.is_remote else "",
            vector_cache_gigabytes=settings.vector_cache_gigabytes,
        ),
        "engine": EngineResource(
            engine=settings.engine,
            device=settings.device,
            threads=settings.threads,
            ray_workers=settings.ray_workers,
            ray_gpus=settings.ray_gpus,
        ),
        "decoder": DecoderResource(
            threads=settings.threads,
            max_pixels=settings.max_pixels,
            max_image_bytes=settings.max_image_bytes,
            unreadable_limit=settings.unreadable_limit,
        ),
        "sscd": SscdResource(
            model=settings.sscd_model,
            device=settings.device,
            weights=settings.sscd_weights,
            weights_folder=settings.weights_folder,
            batch_size=settings.batch_size,
        ),
        "clip": ClipResource(
            model=settings.clip_model,
            crop=settings.clip_crop,
            text=settings.clip_text,
            text_windows=settings.clip_text_windows,
            device=settings.device,
            batch_size=settings.batch_size,
        ),
        "pair_search": PairSearchResource(
            similarity_floor=settings.similarity_floor,
            neighbors_kept=settings.neighbors_kept,
        ),
        "clip_pair_search": ClipPairsResource(
            floor=settings.clip_floor,
            neighbors_kept=settings.neighbors_kept,
            device=settings.device,
        ),
        "map_settings": MapsResource(points=settings.map_points),
        "verification": VerificationResource(
            candidate_floor=settings.candidate_floor,
            candidates_kept=settings.candidates_kept,
            pdq_distance=settings.pdq_distance,
        ),
        "calibration_settings": CalibrationResource(images=settings.calibration_images),
        "cleaning": CleaningResource(
            copies_by=settings.copies_by,
            duplicate_threshold=settings.duplicate_threshold,
            contamination_threshold=settings.contamination_threshold,
            contamination_limit=settings.contamination_limit,
            row_rule=settings.row_rule,
            drop=list(settings.drop_reasons),
            keep_by=settings.keep_by,
            keep_fraction=settings.keep_fraction,
            keep_rows=settings.keep_rows,
        ),
        "reports": ReportsResource(folder=str(settings.reports_folder)),
        "warehouse_file": WarehouseResource(
            path=settings.warehouse_path,
            copy_to=settings.warehouse_copy,
            publication=json.dumps(asdict(describe_publication(settings))),
        ),
    }
