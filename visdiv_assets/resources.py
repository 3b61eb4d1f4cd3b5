"""The Dagster resources: thin, configured handles on the rooms below.

Belongs here: what assets ask for by type. Does not: logic. They are bound once, in `definitions.build_definitions`.
"""

from functools import lru_cache

import dagster as dg
from pydantic import Field

from visdiv_assets import embedders, sources
from visdiv_assets.devices import chosen_device
from visdiv_assets.parallel import thread_count
from visdiv_assets.settings import Settings
from visdiv_assets.storage.lake import Lake


class SourceResource(dg.ConfigurableResource):
    """Where rows come from."""

    uri: str = Field(description=str(Settings.model_fields["source"].description))

    def open(self) -> sources.Source:
        """Open the source."""
        return sources.open(self.uri)


class LakeResource(dg.ConfigurableResource):
    """The Parquet lake."""

    root: str = Field(description="Folder or URI of the lake.")

    def open(self) -> Lake:
        """Open the lake."""
        return Lake(self.root)


class DecoderResource(dg.ConfigurableResource):
    """How pictures are decoded."""

    threads: int = Field(description=str(Settings.model_fields["threads"].description))
    max_pixels: int = Field(description=str(Settings.model_fields["max_pixels"].description))
    unreadable_limit: float = Field(description=str(Settings.model_fields["unreadable_limit"].description))

    @property
    def thread_count(self) -> int:
        """Threads to use."""
        return thread_count(self.threads)


class SscdResource(dg.ConfigurableResource):
    """The SSCD embedder."""

    model: str = Field(description=str(Settings.model_fields["sscd_model"].description))
    device: str = Field(description=str(Settings.model_fields["device"].description))
    weights: str = Field(description=str(Settings.model_fields["sscd_weights"].description))
    weights_folder: str = Field(description="Folder where fetched weights are kept.")
    batch_size: int = Field(description=str(Settings.model_fields["batch_size"].description))

    def load(self) -> embedders.Embedder:
        """Load the model; a process that embeds several subsets loads it once."""
        return _load(self.model, self.device, self.weights, self.weights_folder, self.batch_size)


@lru_cache(maxsize=1)
def _load(model: str, device: str, weights: str, weights_folder: str, batch_size: int) -> embedders.Embedder:
    return embedders.load(model, device=device, weights=weights, weights_folder=weights_folder, batch_size=batch_size)


class PairSearchResource(dg.ConfigurableResource):
    """Which pairs of pictures are stored."""

    similarity_floor: float = Field(description=str(Settings.model_fields["similarity_floor"].description))
    neighbours_kept: int = Field(description=str(Settings.model_fields["neighbours_kept"].description))
    device: str = Field(description=str(Settings.model_fields["device"].description))

    def joins_on(self) -> str:
        """The device that compares vectors."""
        return chosen_device(self.device)


class VerificationResource(dg.ConfigurableResource):
    """Which pairs of pictures have their pixels compared."""

    candidate_floor: float = Field(description=str(Settings.model_fields["candidate_floor"].description))
    candidates_kept: int = Field(description=str(Settings.model_fields["candidates_kept"].description))
    pdq_distance: int = Field(description=str(Settings.model_fields["pdq_distance"].description))


class CalibrationResource(dg.ConfigurableResource):
    """How much calibration measures."""

    pictures: int = Field(description=str(Settings.model_fields["calibration_pictures"].description))


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


class ReportsResource(dg.ConfigurableResource):
    """Where HTML reports are written."""

    folder: str = Field(description="The folder.")


class WarehouseResource(dg.ConfigurableResource):
    """The DuckDB file that BI tools read."""

    path: str = Field(description="The file.")


def build_resources(settings: Settings) -> dict[str, dg.ConfigurableResource]:
    """All resources, by the name that assets ask for."""
    return {
        "source": SourceResource(uri=settings.source),
        "lake": LakeResource(root=settings.lake_root),
        "decoder": DecoderResource(
            threads=settings.threads,
            max_pixels=settings.max_pixels,
            unreadable_limit=settings.unreadable_limit,
        ),
        "sscd": SscdResource(
            model=settings.sscd_model,
            device=settings.device,
            weights=settings.sscd_weights,
            weights_folder=settings.weights_folder,
            batch_size=settings.batch_size,
        ),
        "pair_search": PairSearchResource(
            similarity_floor=settings.similarity_floor,
            neighbours_kept=settings.neighbours_kept,
            device=settings.device,
        ),
        "verification": VerificationResource(
            candidate_floor=settings.candidate_floor,
            candidates_kept=settings.candidates_kept,
            pdq_distance=settings.pdq_distance,
        ),
        "calibration_settings": CalibrationResource(pictures=settings.calibration_pictures),
        "cleaning": CleaningResource(
            copies_by=settings.copies_by,
            duplicate_threshold=settings.duplicate_threshold,
            contamination_threshold=settings.contamination_threshold,
            contamination_limit=settings.contamination_limit,
            row_rule=settings.row_rule,
            drop=list(settings.drop_reasons),
        ),
        "reports": ReportsResource(folder=str(settings.reports_folder)),
        "warehouse_file": WarehouseResource(path=settings.warehouse_path),
    }
