"""Make lakes with the findings of a few stages, for tests of what reads them.

All stages would take many times as long.

    settings = run_stages(folder, subset=["subset_images", "subset_turns"], corpus=["warehouse"])
    copy_lake(folder, pipeline)  # for a test that continues from there
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import dagster as dg

from visdiv_assets.orchestration.partitions import PARTITIONS
from visdiv_assets.settings import Settings
from visdiv_assets.sources import Kind
from visdiv_assets.wiring import open_source
from visdiv_assets_tests.conftest import Pipeline, clean_environment, other_model

#: Stages of a subset that find copies within it.
COPIES = ("subset_images", "subset_turns", "sscd_embeddings", "near_duplicates", "verified_duplicates")
#: Stages of a benchmark and of a subset that find images that are in both.
OF_BENCHMARK = ("benchmark_images", "benchmark_strings", "benchmark_embeddings")
LEAKS = ("contamination", "verified_contamination")
#: Stages of the corpus that decide which rows a clean copy keeps, and publish.
DECISIONS = ("duplicate_clusters", "curated_rows", "warehouse")


def run_stages(
    folder: Path,
    *,
    subset: Sequence[str],
    corpus: Sequence[str] = (),
    benchmark: Sequence[str] = (),
    model: str = "color",
    **given: Any,
) -> Settings:
    """Run some stages on all of `folder/source`, into `folder/data`, and return the settings.

    Args:
        folder: holds `source`.
        subset: assets to make of each subset.
        corpus: assets to make of all subsets together.
        benchmark: assets to make of each benchmark, before the subsets.
        model: replaces SSCD by another embedder; if empty, SSCD embeds.
        given: settings other than the default.
    """
    settings = Settings(
        **{"source": str(folder / "source"), "data": str(folder / "data"), "device": "cpu", "clip_model": ""} | given
    )
    embedder: dict[str, Any] = {"sscd": other_model(model)} if model else {}
    with clean_environment(), dg.DagsterInstance.ephemeral() as instance:
        pipeline, source = Pipeline(settings, instance), open_source(settings)
        names = [*((name, Kind.BENCHMARK, benchmark) for name in source.benchmarks() if benchmark)]
        names += [(name, Kind.SUBSET, subset) for name in source.subsets()]
        runs = [pipeline.run(name, kind=kind, only=stages, **embedder) for name, kind, stages in names]
        runs += [pipeline.publish(only=corpus)] if corpus else []
    failures = [ran.failures for ran in runs if not ran.success]
    assert not failures, failures
    return settings


def copy_lake(folder: Path, pipeline: Pipeline) -> None:
    """Copy the source and the lake of `run_stages` to the empty folders of jobs, which know its partitions then."""
    settings, instance = pipeline.settings, pipeline.instance
    shutil.copytree(folder / "source", settings.source, dirs_exist_ok=True)
    shutil.copytree(folder / "data", settings.data)
    source = open_source(settings)
    for kind, names in ((Kind.SUBSET, source.subsets()), (Kind.BENCHMARK, source.benchmarks())):
        instance.add_dynamic_partitions(str(PARTITIONS[kind].name), list(names))
