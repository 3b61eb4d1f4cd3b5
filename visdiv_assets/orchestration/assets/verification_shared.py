"""The parts that the assets which compare pixels share: settings, units of work, checks, and metadata for the UI."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc

from visdiv_assets.corpus.image_lookup import ImageReader
from visdiv_assets.duplicates.candidates import SIDES
from visdiv_assets.duplicates.decided_pairs import DECIDED, DECISIONS_INPUT, effect_of
from visdiv_assets.duplicates.pair_verification import split_into_units
from visdiv_assets.duplicates.person_decisions import RIGHT, WRONG
from visdiv_assets.duplicates.review_sample import review_sample
from visdiv_assets.duplicates.text_verdicts import heed_texts, inputs_of_texts
from visdiv_assets.duplicates.verdicts import COUNTED_COLUMNS, count_verdicts
from visdiv_assets.duplicates.verify import MIN_CONFIDENCE, VERIFY_VERSION
from visdiv_assets.duplicates.verify_pairs import VERDICT_FIELDS
from visdiv_assets.imaging.limits import decoding_settings, has_decoding
from visdiv_assets.orchestration.assets.stage import check_spec, digests_by_table, sheet_markdown, table_preview
from visdiv_assets.orchestration.engines import Engine
from visdiv_assets.orchestration.resources import DecoderResource, LakeResource, SourceResource
from visdiv_assets.orchestration.work.make_units import Planned, make_units
from visdiv_assets.orchestration.work.verify import Compared, ComparePairs, PairsUnit
from visdiv_assets.progress import progress
from visdiv_assets.publishing.contact_sheets import confirmed_contact_sheet
from visdiv_assets.sources import Kind
from visdiv_assets.storage.lake import Lake
from visdiv_assets.storage.manifest import Manifest
from visdiv_assets.storage.partition_write import PartitionWrite, UnitWrite

#: The version of the verified tables: verdicts of another version are computed again.
CODE_VERSION = VERIFY_VERSION

#: Names of the checks.
CONFIDENCE_FLOOR, UNDECIDED_SHARE = "confidence_floor", "undecided_share"
#: Confirmed pairs that the metadata shows.
PAIRS_SHOWN = 12


def comparison_settings(joined: Manifest, decoder: DecoderResource) -> dict[str, Any]:
    """Return the settings that selected the candidate pairs of a join, and the decoding of the pixels to compare."""
    chosen = {name: joined.settings[name] for name in ("candidate_floor", "candidates_kept", "pdq_distance")}
    return chosen | decoding_settings(decoder.decoding)


def make_comparison(
    source: SourceResource,
    lake: LakeResource,
    decoder: DecoderResource,
    write: PartitionWrite,
    joined: Manifest,
    sets: Sequence[tuple[Kind, Manifest]],
    ids: tuple[str, str] = SIDES,
) -> ComparePairs:
    """Return the work that compares the candidate pairs of a join.

    It knows the verdicts of an earlier run of this code, if that decoded images in the same way.

    Args:
        source: where the images are.
        lake: where they are listed.
        decoder: has the limits of images, and how they are decoded.
        write: the partition that will hold the verdicts.
        joined: manifest of the table with the candidate pairs.
        sets: kind and manifest of the images of all subsets and benchmarks that hold an image of a pair.
        ids: columns of the pairs with the image_ids of the two images.
    """
    manifest = lake.open().earlier(write.plan.table, write.plan.partition)
    is_known = manifest and manifest.code_version == CODE_VERSION and has_decoding(manifest.settings, decoder.decoding)
    earlier = manifest if is_known else None
    return ComparePairs(lake.in_each_process(), source.in_each_process(), joined, sets, earlier, decoder.limits, ids)


def compare_candidates(
    store: Lake, write: PartitionWrite, engine: Engine, work: ComparePairs, what: str, texts: Sequence[Manifest]
) -> int:
    """Write the candidate pairs of a join with their verdicts, as one unit.

    They are compared in intermediate units by the first digits of the first image_id, so that an interrupted run
    resumes after the last of them. These hold the verdicts of pixels; text comes last.

    Args:
        store: the lake.
        write: the partition.
        engine: compares the pairs.
        work: made by `make_comparison`.
        what: what is compared, for the progress line.
        texts: manifests of the text that was read in the images, as `read_texts` returns them.

    Returns:
        the number of pairs that were compared in this run; the others had verdicts.
    """
    joined, inputs = work.joined, digests_by_table(work.joined) | inputs_of_texts(texts)
    if write.reuse("pairs", inputs):
        return 0
    candidates = store.dataset(joined, "candidates")
    planned = [
        Planned(f"pairs {prefix}", {"pairs": _digest(pairs)}, PairsUnit(prefix, pairs.num_rows))
        for prefix, pairs in split_into_units(candidates.to_batches(), joined.rows("candidates"), work.ids[0])
    ]
    schema = pa.schema([*candidates.schema, *VERDICT_FIELDS])
    compared = 0

    def keep(unit: UnitWrite, of_unit: PairsUnit, found: Compared) -> None:
        nonlocal compared
        table, fresh = found
        unit.table("pairs", table, schema)
        compared += fresh

    scratch = write.scratch()
    with progress(f"comparing pixels of {what}", joined.rows("candidates"), "pair") as advance:
        make_units(scratch, engine, work, planned, keep, advance)
    with write.add("pairs", inputs) as unit:
        unit.table("pairs", heed_texts(partial(_read_units, store, scratch), store, texts, work.ids), schema)
    scratch.remove()
    return compared


def decision_inputs(decided: pa.Table, ids: Sequence[str] = SIDES) -> dict[str, str]:
    """Return the digest of people's decisions as an input of a partition; empty without any."""
    digest = effect_of(decided, ids)
    return {DECISIONS_INPUT: digest} if digest else {}


def keep_decided(write: PartitionWrite, decided: pa.Table, inputs: Mapping[str, str]) -> None:
    """Write people's decisions beside the verdicts, as a unit of their own; none without any.

    Args:
        write: the partition.
        decided: the decisions on its images.
        inputs: digests of what they depend on.
    """
    if decided.num_rows and not write.reuse(DECIDED, inputs):
        with write.add(DECIDED, inputs) as unit:
            unit.table(DECIDED, decided, decided.schema)


def _count(decided: pa.Table, decision: str, ids: tuple[str, str]) -> int:
    """Return the number of different pairs with a decision."""
    return int(decided.filter(pc.equal(decided["decision"], decision)).group_by(list(ids)).aggregate([]).num_rows)


def _read_units(store: Lake, scratch: PartitionWrite) -> Iterator[pa.RecordBatch]:
    draft = scratch.draft()
    for unit in draft.units:
        yield from store.read(replace(draft, units=(unit,)), "pairs").to_batches()


def _digest(table: pa.Table) -> str:
    """Return the SHA-256 of the content of a table."""
    content = pa.BufferOutputStream()
    with pa.ipc.new_stream(content, table.schema) as stream:
        stream.write_table(table.combine_chunks())
    return hashlib.sha256(content.getvalue()).hexdigest()


def verification_check_specs(
    asset: str, partitions_def: dg.PartitionsDefinition | None = None
) -> list[dg.AssetCheckSpec]:
    """Return the checks of a table of compared pairs."""
    return [
        check_spec(
            CONFIDENCE_FLOOR,
            asset=asset,
            partitions_def=partitions_def,
            blocking=True,
            description=f"Every confirmed pair has a confidence of at least {MIN_CONFIDENCE}, if it has one.",
        ),
        check_spec(
            UNDECIDED_SHARE,
            asset=asset,
            partitions_def=partitions_def,
            description="The share of undecided pairs is at most VISDIV_UNDECIDED_LIMIT (warns).",
        ),
    ]


def verification_result(
    images: ImageReader,
    manifest: Manifest,
    subsets: Sequence[str],
    *,
    compared: int,
    reused: int,
    limit: float,
    decided: pa.Table,
    ids: tuple[str, str] = SIDES,
) -> tuple[dict[str, object], list[dg.AssetCheckResult]]:
    """Return the metadata and the checks of a table of compared pairs.

    Args:
        images: reads the images of the sample of confirmed pairs, and the lake.
        manifest: of the table.
        subsets: names of the subsets that hold the images.
        compared: number of pairs that were compared in this run.
        reused: number of units of an earlier run.
        limit: share of undecided pairs above which the check warns.
        decided: people's decisions on pairs of the table's images.
        ids: columns of the pairs with the image_ids of the two images.
    """
    dataset = images.lake.dataset(manifest, "pairs")
    counts = count_verdicts(
        dataset.to_batches(columns=[name for name in COUNTED_COLUMNS if name in dataset.schema.names])
    )
    sampled = review_sample(dataset.to_batches(filter=pc.field("verified")), PAIRS_SHOWN, ids=ids)
    sheet = None if sampled is None or not sampled.num_rows else confirmed_contact_sheet(images, subsets, sampled)
    metadata = {
        "dagster/partition_row_count": counts.pairs,
        "pairs_compared": compared,
        "pairs_reused": counts.pairs - compared,
        "pairs_confirmed": counts.confirmed,
        "pairs_rejected": counts.rejected,
        "pairs_undecided": counts.undecided,
        **{f"decided_{decision}": _count(decided, decision, ids) for decision in (RIGHT, WRONG)},
        "undecided_reasons": table_preview(counts.undecided_reasons),
        "evidence": table_preview(counts.by_evidence),
        **({"confirmed_sample": sheet_markdown("a sample of confirmed pairs", sheet)} if sheet else {}),
        "units_reused": reused,
    }
    checks = [
        dg.AssetCheckResult(
            check_name=CONFIDENCE_FLOOR,
            passed=not counts.below_floor,
            description=f"{counts.without_confidence} of {counts.confirmed} confirmed pairs have no confidence.",
            metadata={
                "pairs_below_floor": counts.below_floor,
                "pairs_without_confidence": counts.without_confidence,
                "floor": MIN_CONFIDENCE,
            },
        ),
        dg.AssetCheckResult(
            check_name=UNDECIDED_SHARE,
            passed=counts.undecided_share <= limit,
            severity=dg.AssetCheckSeverity.WARN,
            metadata={"share": counts.undecided_share, "limit": limit},
        ),
    ]
    return metadata, checks
