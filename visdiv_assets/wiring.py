"""Build the source, the lake and the models from the settings.

The rooms take plain arguments and do not import `settings`; this module passes the settings to them.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from visdiv_assets.settings import Settings
from visdiv_assets.sources.downloads import Downloads
from visdiv_assets.sources.interface import Source
from visdiv_assets.storage import uris
from visdiv_assets.storage.disk_space import GIGABYTE
from visdiv_assets.storage.format_versions import FORMAT_VERSION, product_version
from visdiv_assets.storage.lake import Lake, lake_at

if TYPE_CHECKING:
    from visdiv_assets.curation.clean_copy import QualityFilter
    from visdiv_assets.curation.rules import Rules
    from visdiv_assets.curation.selection.options import TextModels
    from visdiv_assets.embedding.interface import Embedder
    from visdiv_assets.embedding.queries import QueryModels
    from visdiv_assets.publishing.warehouse.publication import Publication


def open_source(settings: Settings) -> Source:
    """Open the source that the settings name.

    Raises:
        SourceError: it cannot be opened; see `sources.open`.
    """
    from visdiv_assets import sources

    return sources.open(
        settings.source,
        downloads=Downloads(
            folder=settings.downloads_folder,
            max_bytes=round(settings.download_cache_gigabytes * GIGABYTE),
            threads=settings.download_threads,
            reserve_bytes=round(settings.disk_reserve_gigabytes * GIGABYTE),
        ),
        benchmark_catalog=settings.benchmark_catalog,
        benchmark_list=settings.benchmark_list,
        reading=settings.reading,
    )


def open_lake(settings: Settings) -> Lake:
    """Open the lake that the settings name for reading; see `lake_at`."""
    return lake_at(
        settings.lake_root,
        vectors_folder=settings.vectors_cache,
        cache_bytes=round(settings.vector_cache_gigabytes * GIGABYTE),
    )


def load_sscd(settings: Settings) -> Embedder:
    """Load the SSCD embedder that the settings name.

    Raises:
        ModelError: it cannot be loaded; see `embedding.load`.
    """
    from visdiv_assets import embedding

    return embedding.load(
        settings.sscd_model,
        device=settings.device,
        weights=settings.sscd_weights,
        weights_folder=settings.weights_folder,
        batch_size=settings.batch_size,
        decoding=settings.decoding,
    )


def query_models(settings: Settings) -> QueryModels:
    """Build the models that embed the queries of `visdiv search`; each is loaded on first use."""
    from visdiv_assets.devices import resolve_device
    from visdiv_assets.embedding.clip.checkpoints import find_checkpoint
    from visdiv_assets.embedding.clip.model import ClipModel
    from visdiv_assets.embedding.queries import QueryModels

    return QueryModels(
        load_sscd=lambda: load_sscd(settings),
        load_clip=lambda: ClipModel(find_checkpoint(settings.clip_model), resolve_device(settings.device)),
        clip_crop=settings.clip_crop,
        clip_text_windows=settings.clip_text_windows,
        limits=settings.decode_limits,
    )


def text_models(settings: Settings) -> TextModels:
    """Build the models that embed texts for selection methods; each is loaded when it is asked for."""
    from visdiv_assets import embedding
    from visdiv_assets.curation.selection.options import TextModels

    load = partial(
        embedding.load_clip_texts,
        settings.clip_model,
        device=settings.device,
        windows=settings.clip_text_windows,
    )
    return TextModels(turns=partial(load, prefix=settings.clip_text_prefix), prompts=load)


def cleaning_rules(settings: Settings) -> Rules:
    """Return the rules by which the settings decide on rows."""
    from visdiv_assets.curation.rules import Rules
    from visdiv_assets.curation.selection.keep_masks import Selection

    return Rules(
        settings.similarity_floor,
        settings.copies_by,
        settings.duplicate_threshold,
        settings.contamination_threshold,
        settings.text_contamination_share,
        settings.image_profile,
        settings.text_profile,
        settings.row_rule,
        settings.drop_reasons,
        Selection(keep_by=settings.keep_by, keep_fraction=settings.keep_fraction, keep_rows=settings.keep_rows),
    )


def quality_filter(settings: Settings) -> QualityFilter:
    """Return the thresholds and the rule by which the settings drop rows for their ratings."""
    from visdiv_assets.curation.clean_copy import QualityFilter
    from visdiv_assets.curation.quality import as_row_rule, parse_thresholds

    return QualityFilter(parse_thresholds(settings.quality_thresholds), as_row_rule(settings.quality_rule))


def describe_publication(settings: Settings) -> Publication:
    """Return what the table `meta` of the DuckDB file says about its origin, without credentials."""
    from visdiv_assets.publishing.warehouse.publication import Publication

    public = {
        name: uris.display(value) if isinstance(value, str) else value
        for name, value in settings.model_dump(mode="json", exclude={"judge_key_file"}).items()
    }
    return Publication(product_version() or None, public["source"], public, FORMAT_VERSION)
