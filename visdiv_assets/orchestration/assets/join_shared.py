"""The parts that the assets which join vectors share: settings, and blocks that an interrupted run resumes."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace

import pyarrow as pa

from visdiv_assets.duplicates.candidates import CandidateRule
from visdiv_assets.orchestration.engines import Engine
from visdiv_assets.orchestration.resources import PairSearchResource, VerificationResource
from visdiv_assets.orchestration.work.joins import JoinBlocks
from visdiv_assets.orchestration.work.make_units import Planned, make_units
from visdiv_assets.progress import Progress
from visdiv_assets.storage.lake import Lake
from visdiv_assets.storage.partition_write import PartitionWrite, UnitWrite
from visdiv_assets.vectors.join_blocks import BEST_SCHEMA, Part
from visdiv_assets.vectors.partner_lists import PartnerRule

#: Rows of a row group of candidate pairs: about 5 MB.
ROWS_OF_A_GROUP = 65_536


def candidate_settings(verification: VerificationResource) -> dict[str, float]:
    """Return the settings that select candidate pairs, as the manifests of joins record them."""
    return {
        "candidate_floor": verification.candidate_floor,
        "candidates_kept": verification.candidates_kept,
        "pdq_distance": verification.pdq_distance,
    }


def pair_rules(
    pair_search: PairSearchResource, verification: VerificationResource
) -> tuple[PartnerRule, CandidateRule]:
    """Return the settings that select pairs: the partners that a join keeps, and the candidates among them."""
    rule = CandidateRule(verification.candidate_floor, verification.candidates_kept, verification.pdq_distance)
    return rule.partners(pair_search.similarity_floor, pair_search.neighbors_kept), rule


@contextmanager
def join_parts(
    store: Lake,
    write: PartitionWrite,
    engine: Engine,
    work: JoinBlocks,
    blocks: Sequence[tuple[int, int]],
    advance: Progress,
) -> Iterator[Iterable[Part]]:
    """Join all blocks; the value of the context is their results, from which the caller makes a unit.

    Several blocks are stored as intermediate units, so that an interrupted run resumes after its last block. They are
    removed at the end of the context.

    Args:
        store: the lake.
        write: the partition that the pairs will be written to.
        engine: runs the blocks.
        work: joins a block.
        blocks: the blocks.
        advance: called with the number of vectors finished.
    """
    if len(blocks) < 2:
        with closing(engine.map(work, blocks, advance)) as results:
            parts = [part for _, part in results]
        yield parts
        return
    planned = [Planned(f"rows {start} to {stop}", work.inputs, (start, stop)) for start, stop in blocks]
    scratch = write.scratch()
    make_units(scratch, engine, work, planned, _keep, advance)
    yield _read_parts(store, scratch)
    scratch.remove()


def keep_candidates(unit: UnitWrite, pairs: pa.Table, schema: pa.Schema) -> None:
    """Write candidate pairs in row groups of limited size, from which verification reads some at a time."""
    unit.table("candidates", pairs.to_batches(max_chunksize=ROWS_OF_A_GROUP), schema)


def _keep(unit: UnitWrite, block: tuple[int, int], part: Part) -> None:
    unit.table("candidates", part.candidates, BEST_SCHEMA)
    unit.table("close", part.close, BEST_SCHEMA)
    unit.table("counts", part.counts, part.counts.schema)


def _read_parts(store: Lake, scratch: PartitionWrite) -> Iterator[Part]:
    draft = scratch.draft()
    for unit in draft.units:
        only = replace(draft, units=(unit,))
        yield Part(*(store.read(only, role) for role in ("candidates", "close", "counts")))
