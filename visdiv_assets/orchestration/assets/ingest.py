"""The pass over a source: each file is read once, each image decoded once, for everything that later stages need."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import dagster as dg

from visdiv_assets.corpus.access import CONTENT, listed_version
from visdiv_assets.corpus.tables import LakeTable
from visdiv_assets.embedding.clip.checkpoints import NoClipWeightsError
from visdiv_assets.errors import ConfigError
from visdiv_assets.imaging.limits import decoding_settings
from visdiv_assets.orchestration.assets import ingest_results as report
from visdiv_assets.orchestration.assets import ingest_specs as specs
from visdiv_assets.orchestration.assets.clip_optional import leave_out
from visdiv_assets.orchestration.assets.source_files import observation
from visdiv_assets.orchestration.assets.stage import Stage, digests_by_table, stage
from visdiv_assets.orchestration.pools import GPU, pool_slot
from visdiv_assets.orchestration.resources import (
    ClipResource,
    DecoderResource,
    EngineResource,
    LakeResource,
    ProductsResource,
    SourceResource,
    SscdResource,
)
from visdiv_assets.orchestration.work.ingest import (
    FEATURES,
    NO_MODEL,
    THUMBNAILS,
    Description,
    Load,
    ReadShards,
    SeenImages,
    describe,
)
from visdiv_assets.orchestration.work.products import Blobs, ImageProduct, Pass, Vectors
from visdiv_assets.progress import progress
from visdiv_assets.sources import Kind
from visdiv_assets.sources.versions import Version, version_of
from visdiv_assets.storage.manifest import Manifest
from visdiv_assets.storage.partition_write import PartitionWrite


@dg.multi_asset(specs=specs.pass_specs(Kind.SUBSET), check_specs=specs.pass_checks(Kind.SUBSET), can_subset=True)
def subset_pass(
    context: dg.AssetExecutionContext,
    source: SourceResource,
    lake: LakeResource,
    decoder: DecoderResource,
    engine: EngineResource,
    products: ProductsResource,
    sscd: SscdResource,
    clip: ClipResource,
) -> Iterator[dg.MaterializeResult]:
    """Read each file of a subset once, for all of its selected assets that are not up to date."""
    _require_one_decoding(decoder, sscd)
    loads = {
        LakeTable.SSCD_EMBEDDINGS: sscd.loader(),
        LakeTable.SUBSET_REGIONS: sscd.regions(),
        LakeTable.CLIP_IMAGE_EMBEDDINGS: clip.images(),
    }
    yield from _run(context, lake, _Pass(context, Kind.SUBSET, source, lake, decoder, engine, products, loads))


@dg.multi_asset(specs=specs.pass_specs(Kind.BENCHMARK), check_specs=specs.pass_checks(Kind.BENCHMARK), can_subset=True)
def benchmark_pass(
    context: dg.AssetExecutionContext,
    source: SourceResource,
    lake: LakeResource,
    decoder: DecoderResource,
    engine: EngineResource,
    products: ProductsResource,
    sscd: SscdResource,
) -> Iterator[dg.MaterializeResult]:
    """Read each file of a benchmark once, for all of its selected assets that are not up to date."""
    _require_one_decoding(decoder, sscd)
    loads = {LakeTable.BENCHMARK_EMBEDDINGS: sscd.loader(), LakeTable.BENCHMARK_REGIONS: sscd.regions()}
    yield from _run(context, lake, _Pass(context, Kind.BENCHMARK, source, lake, decoder, engine, products, loads))


def _require_one_decoding(decoder: DecoderResource, sscd: SscdResource) -> None:
    """Raise if the decoding was edited in the launchpad, where models do not get to know of it."""
    if decoder.decoding != sscd.decoding:
        raise ConfigError(
            f"decoding is {decoder.decoding!r} in the launchpad and {sscd.decoding!r} in the settings, by which models "
            "are named: set VISDIV_DECODING instead"
        )


def _run(context: dg.AssetExecutionContext, lake: LakeResource, made: "_Pass") -> Iterator[dg.MaterializeResult]:
    """Make the selected assets, and yield those that were committed, also if a later one fails."""
    results: list[dg.MaterializeResult] = []
    failure: Exception | None = None
    try:
        with stage(context, lake, CONTENT[made.kind].images, specs.IMAGES_VERSION) as run:
            made.run(run, results.append)
    except Exception as error:
        failure = error
    yield from results
    if failure is not None:
        raise failure


@dataclass(frozen=True)
class _Pass:
    """A run of one of the two multi-assets."""

    context: dg.AssetExecutionContext
    kind: Kind
    source: SourceResource
    lake: LakeResource
    decoder: DecoderResource
    engine: EngineResource
    products: ProductsResource
    loads: Mapping[str, Load]

    def run(self, run: Stage, add: Callable[[dg.MaterializeResult], None]) -> None:
        """Make the selected assets, commit the list of images before the others, and add the result of each."""
        name, tables = run.partition, CONTENT[self.kind]
        selected = {key.to_user_string() for key in self.context.selected_asset_keys}
        models, left_out = self._describe_models(selected)
        # Before the files are read: a file that changes meanwhile must show as changed.
        opened = self.source.open()
        observed = opened.observed_version(self.kind, name) if tables.images in selected else ""
        version, images = self._images(run, tables.images in selected)
        texts = (
            self._begin(run, tables.texts, specs.TEXTS_VERSION, version, images) if tables.texts in selected else None
        )
        products = self._products(run, version, images, selected, models)
        begin = time.monotonic()
        with progress(f"reading {name}", version.rows, "row") as advance:
            Pass(
                lake=run.lake,
                version=version,
                engine=self.engine.open(),
                work=self._work(name, products),
                images=images,
                texts=texts,
                products=products,
                on_device=partial(pool_slot, self.context, GPU),
                advance=advance,
            ).run()
        seconds = time.monotonic() - begin
        if isinstance(images, PartitionWrite):
            images, result = report.commit_images(
                run.lake,
                images,
                self.kind,
                version,
                observed,
                opened,
                self.decoder.unreadable_limit,
            )
            self.context.log_event(observation(self.kind, name, observed))
            add(result)
        if texts is not None:
            add(report.commit_texts(run.lake, texts, images, version))
        for product in products:
            if isinstance(product, Vectors):
                report.require_images(self.kind, images)
                add(report.commit_vectors(run.lake, product, images, seconds))
            else:
                add(report.commit_blobs(product, images))
        for table, reason in left_out.items():
            add(leave_out(self.context, run.lake, table, reason))

    def _describe_models(self, selected: set[str]) -> tuple[dict[str, Description], dict[str, str]]:
        """Load the models of the selected assets where they will run; return also why assets cannot be made."""
        models: dict[str, Description] = {}
        left_out: dict[str, str] = {}
        for table in (table for table in self.loads if table in selected):
            if table == CONTENT[self.kind].regions and not self.products.regions:
                models[table] = NO_MODEL
                continue
            try:
                models[table] = describe(self.engine.open(), self.loads[table])
            except NoClipWeightsError as reason:
                left_out[table] = str(reason)
        return models, left_out

    def _images(self, run: Stage, selected: bool) -> tuple[Version, PartitionWrite | Manifest]:
        """Return the present version of the files, and its list of images: one that is written, or the stored one."""
        opened, table = self.source.open(), CONTENT[self.kind].images
        if not selected:
            listed = run.require(table)
            return listed_version(opened, listed, self.kind), listed
        previous = run.lake.earlier(table, run.partition)
        version = version_of(opened, self.kind, run.partition, known=previous.facts["digests"] if previous else None)
        write = run.write(
            {shard.shard.name: shard.digest for shard in version.shards},
            settings=self.decoder.limits.settings(),
            source_revision=version.revision,
        )
        return version, write

    def _products(
        self,
        run: Stage,
        version: Version,
        images: PartitionWrite | Manifest,
        selected: set[str],
        models: Mapping[str, Description],
    ) -> list[ImageProduct]:
        """Begin the tables of the selected products of images."""
        tables, products = CONTENT[self.kind], self.products
        decoding = decoding_settings(self.decoder.decoding)
        blobs: list[tuple[str, str, str, dict[str, Any]]] = [
            (THUMBNAILS, tables.thumbnails, specs.THUMBNAILS_VERSION, {"side": products.thumbnail_side}),
            (FEATURES, tables.features, specs.FEATURES_VERSION, {"stored": products.local_features}),
        ]
        made: list[ImageProduct] = []
        for name, table, code_version, settings in blobs:
            if table in selected:
                wanted = any(settings.values())
                settings |= decoding
                earlier = run.lake.earlier(table, run.partition)
                if earlier and (earlier.settings, earlier.code_version) != (settings, code_version):
                    earlier = None
                write = self._begin(run, table, code_version, version, images, settings=settings)
                made.append(Blobs(name, run.lake, write, earlier, wanted=wanted))
        for table, model in models.items():
            earlier = run.lake.earlier(table, run.partition)
            if earlier and (earlier.model_id, earlier.code_version) != (model.model_id, specs.VECTORS_VERSION):
                earlier = None
            model_id = model.model_id or None
            write = self._begin(run, table, specs.VECTORS_VERSION, version, images, model_id=model_id)
            made.append(Vectors(table, run.lake, write, earlier, model))
        return made

    def _begin(
        self,
        run: Stage,
        table: str,
        code_version: str,
        version: Version,
        images: PartitionWrite | Manifest,
        *,
        model_id: str | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> PartitionWrite:
        """Begin a table beside the list of images; if that is not stored yet, the commit states its digest."""
        return run.beside(table, code_version).write(
            digests_by_table(images) if isinstance(images, Manifest) else {},
            model_id=model_id,
            settings=settings,
            source_revision=version.revision,
        )

    def _work(self, name: str, products: Sequence[ImageProduct]) -> ReadShards:
        embedded = {product.name for product in products if product.wanted}
        return ReadShards(
            source=self.source.in_each_process(),
            lake=self.lake.in_each_process(),
            kind=self.kind,
            name=name,
            earlier={product.name: product.earlier for product in products if product.wanted},
            loads={table: load for table, load in self.loads.items() if table in embedded},
            seen=SeenImages(),
            limits=self.decoder.limits,
            thumbnail_side=self.products.thumbnail_side,
        )
