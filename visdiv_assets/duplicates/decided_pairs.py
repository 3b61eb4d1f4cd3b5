"""People's decisions on pairs of images of some subsets, stored beside the verdicts that they override.

The tables of verified pairs keep the verdicts of verification as they are, in the role `pairs`. Decisions on their
images are in the role `decided`, also those on pairs that were never compared. Whoever asks for copies reads both.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from visdiv_assets.duplicates.candidates import SIDES
from visdiv_assets.duplicates.pair_verification import read_pairs
from visdiv_assets.duplicates.person_decisions import DECISIONS_SCHEMA, RIGHT, WRONG, Decisions, look_up
from visdiv_assets.storage.lake import Lake
from visdiv_assets.storage.manifest import Manifest, digest_of
from visdiv_assets.vectors.pair_similarity import pair_similarities

#: Role of the decisions in a table of verified pairs.
DECIDED = "decided"

#: Name of their digest among the inputs of such a table.
DECISIONS_INPUT = "decisions"

#: The evidence of pairs that a person confirmed and verification did not.
PERSON = "person"


def decided_pairs(
    lake: Lake, embeddings: Sequence[Manifest], decisions: Decisions, *, across: bool = False
) -> pa.Table:
    """Return the decisions on pairs within some subsets, or across them, that change something.

    Args:
        lake: where the subsets are.
        embeddings: manifest of the embeddings of each subset.
        decisions: all decisions.
        across: whether to return the pairs of which no subset holds both images, rather than those of which one does.

    Returns:
        table of `DECISIONS_SCHEMA`, in which similarity is that of the stored vectors.
    """
    effective, wanted = decisions.effective, decisions.image_ids
    held = np.zeros((len(wanted), len(embeddings)), bool)
    vectors: np.ndarray | None = None
    for index, manifest in enumerate(embeddings if len(wanted) else ()):
        row = rows_of(lake, manifest, wanted)
        held[:, index] = row >= 0
        found = np.flatnonzero(held[:, index])
        of_subset = lake.array(manifest, "vectors")
        if vectors is None:
            vectors = np.zeros((len(wanted), of_subset.shape[1]), np.float32)
        vectors[found] = of_subset[row[found]]
    a, b = (pc.index_in(effective[side], wanted).to_numpy() for side in SIDES)
    within = (held[a] & held[b]).any(axis=1)
    chosen = held[a].any(axis=1) & held[b].any(axis=1) & ~within if across else within
    # The same bytes are a pair only with a benchmark.
    chosen &= a != b
    if vectors is None or not chosen.any():
        return DECISIONS_SCHEMA.empty_table()
    similarity = pa.array(pair_similarities(vectors, vectors, a[chosen], b[chosen]))
    table = effective.filter(pa.array(chosen))
    return table.set_column(
        table.schema.get_field_index("similarity"), DECISIONS_SCHEMA.field("similarity"), similarity
    )


def rows_of(lake: Lake, embeddings: Manifest, wanted: pa.Array) -> np.ndarray:
    """Return the rows of some images among the vectors of a subset or benchmark, int64, -1 for those it lacks."""
    ids = lake.read(embeddings, "ids", columns=["image_id"])["image_id"].combine_chunks()
    rows: np.ndarray = pc.fill_null(pc.index_in(wanted, ids), -1).to_numpy()
    return rows


def read_decided(lake: Lake, manifest: Manifest, schema: pa.Schema = DECISIONS_SCHEMA) -> pa.Table:
    """Read the decisions that a table of verified pairs has beside its verdicts."""
    return lake.read(manifest, DECIDED) if manifest.files(DECIDED) else schema.empty_table()


def read_confirmed(
    lake: Lake,
    manifest: Manifest,
    columns: Sequence[str],
    schema: pa.Schema = DECISIONS_SCHEMA,
    ids: Sequence[str] = SIDES,
) -> pa.Table:
    """Read some columns of the pairs that are confirmed: by a person, or by verification and not refuted by a person.

    Args:
        lake: where the table is.
        manifest: of a table with verdicts in the role `pairs`.
        columns: their names; among them those of `ids`.
        schema: of the role `decided`.
        ids: the columns with the two image_ids of a pair.
    """
    decided = read_decided(lake, manifest, schema)
    where = pc.field("verified") | pc.field(ids[0]).isin(decided[ids[0]].unique())
    named = list(dict.fromkeys([*columns, *ids, "verified", "evidence"]))
    pairs = obey(read_pairs(lake, manifest, named, where=where), decided, ids)
    return pairs.filter(pairs["verified"]).select(list(columns))


def obey(pairs: pa.Table, decided: pa.Table, ids: Sequence[str] = SIDES) -> pa.Table:
    """Return pairs with their verdicts as decisions leave them.

    Args:
        pairs: compared pairs: the columns `ids`, verified, evidence, and others.
        decided: the decisions of the same partition: the columns `ids`, decision, and others.
        ids: the columns with the two image_ids of a pair, and whatever else tells pairs apart.

    Returns:
        the same columns, and decision: `right`, `wrong` or null. verified is what counts; evidence is `PERSON` where
        only a person confirms. Pairs that were decided to be right and are not in `pairs` follow, with nulls for what
        only verification knows.
    """
    a, b = ids[0], ids[-1]
    decision = look_up(pairs[a], pairs[b], decided[a], decided[b], decided["decision"])
    right = pc.fill_null(pc.equal(decision, RIGHT), False)
    wrong = pc.fill_null(pc.equal(decision, WRONG), False)
    by_person = pc.and_(right, pc.invert(pc.fill_null(pairs["verified"], False)))
    changed = {
        "verified": pc.if_else(right, True, pc.if_else(wrong, False, pairs["verified"])),
        "evidence": pc.if_else(by_person, PERSON, pairs["evidence"]),
    }
    for name, values in changed.items():
        pairs = pairs.set_column(pairs.schema.get_field_index(name), name, values)
    pairs = pairs.append_column("decision", decision)
    added = decided.filter(pc.equal(decided["decision"], RIGHT))
    added = added.filter(pc.invert(pc.is_in(_keys(added, ids), _keys(pairs.filter(right), ids))))
    given = {"verified": pa.repeat(True, added.num_rows), "evidence": pa.repeat(PERSON, added.num_rows)}
    columns = {name: added[name] for name in added.column_names} | given
    filled = [columns.get(field.name, pa.nulls(added.num_rows, field.type)).cast(field.type) for field in pairs.schema]
    return pa.concat_tables([pairs, pa.table(filled, schema=pairs.schema)])


def effect_of(decided: pa.Table, ids: Iterable[str] = SIDES) -> str:
    """Return a digest of what decisions change; empty without any."""
    return digest_of(list(decided.select([*ids, "decision"]).to_pydict().values())) if decided.num_rows else ""


def _keys(table: pa.Table, ids: Sequence[str]) -> pa.Array:
    # A name holds no line break.
    keys = pc.binary_join_element_wise(*(table[name] for name in ids), "\n")
    return keys.combine_chunks() if isinstance(keys, pa.ChunkedArray) else keys
