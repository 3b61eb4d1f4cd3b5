"""Read the stored decisions for `visdiv export`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from visdiv_assets.contamination.positions import LEAK_IDS
from visdiv_assets.corpus.tables import CORPUS_PARTITION, LakeTable, remedy
from visdiv_assets.corpus.turns import stored_turns
from visdiv_assets.curation import quality
from visdiv_assets.curation.export import SubsetDecision
from visdiv_assets.curation.judge.ratings import as_ratings_from, judged_units, with_judge
from visdiv_assets.curation.quality import RowRule
from visdiv_assets.curation.rules import Rules
from visdiv_assets.curation.turn_filter import FailingTurns
from visdiv_assets.duplicates.candidates import SIDES
from visdiv_assets.duplicates.decided_pairs import DECIDED
from visdiv_assets.duplicates.person_decisions import DECISIONS_SCHEMA, Decision
from visdiv_assets.errors import ConfigError, StaleError
from visdiv_assets.sources import Kind, Source
from visdiv_assets.sources.schema import CRITERIA
from visdiv_assets.sources.versions import version_of
from visdiv_assets.storage.lake import Lake
from visdiv_assets.storage.manifest import Manifest
from visdiv_assets.texts.personal_data import KINDS


class QualityFilter(NamedTuple):
    """The settings by which quality ratings drop rows.

    Attributes:
        thresholds: lowest rating that passes, by criterion.
        rule: which turns of a row must pass; see `quality`.
    """

    thresholds: Mapping[str, int]
    rule: RowRule


def load_decisions(lake: Lake, source: Source, rules: Rules, quality_filter: QualityFilter) -> Iterator[SubsetDecision]:
    """Yield the rows of each subset that a clean copy keeps, from the table `curated_rows`.

    Raises:
        NotMaterializedError: `curated_rows` or a subset is not materialized.
        StaleError: the rows were decided by other rules or thresholds, or a subset was materialized again, or its files
            have changed, since then.
        ConfigError: the file of selected rows cannot be read.
    """
    curated = lake.require(LakeTable.CURATED_ROWS, CORPUS_PARTITION)
    _require_rules(curated, rules)
    by_quality = "quality" in rules.drop
    for subset in curated.facts["subsets"]:
        images = lake.require(LakeTable.SUBSET_IMAGES, subset)
        version = version_of(source, Kind.SUBSET, subset, known=images.facts["digests"])
        decided_for = curated.inputs[f"{subset} subset_images"]
        if images.digest != decided_for or version.revision != images.source_revision:
            raise StaleError(
                f"subset {subset!r} has changed since its rows were decided: "
                f"{remedy(LakeTable.CURATED_ROWS, CORPUS_PARTITION)}"
            )
        _require_filter(lake, subset, curated, quality_filter if by_quality else None)
        dropped = lake.read(curated, "dropped", where=pc.field("subset") == subset)
        kept = np.ones(version.rows, bool)
        kept[dropped["row"].to_numpy()] = False
        yield SubsetDecision(subset, version, kept, dropped)


def load_person_decisions(lake: Lake) -> list[Decision]:
    """Return people's decisions on pairs that the stored decisions on rows obey, sorted by image_id.

    Raises:
        NotMaterializedError: `curated_rows` is not materialized.
        StaleError: runs have read decisions since then.
    """
    curated = lake.require(LakeTable.CURATED_ROWS, CORPUS_PARTITION)
    subsets = curated.facts["subsets"]
    found: dict[tuple[str, str], Decision] = {}
    for table, partition, used in (
        *((LakeTable.VERIFIED_DUPLICATES, subset, f"{subset} {LakeTable.VERIFIED_DUPLICATES}") for subset in subsets),
        (LakeTable.VERIFIED_CROSS_SUBSET, CORPUS_PARTITION, LakeTable.VERIFIED_CROSS_SUBSET),
        *((LakeTable.VERIFIED_CONTAMINATION, name, f"{name} {LakeTable.VERIFIED_CONTAMINATION}") for name in subsets),
    ):
        manifest = lake.manifest(table, partition)
        if manifest is None or not manifest.files(DECIDED):
            continue
        if curated.inputs.get(used) != manifest.digest:
            raise StaleError(
                "people have decided on pairs since rows were decided: "
                f"{remedy(LakeTable.CURATED_ROWS, CORPUS_PARTITION)}"
            )
        for record in lake.read(manifest, DECIDED).to_pylist():
            a, b = sorted(record[side] for side in (SIDES if SIDES[0] in record else (LEAK_IDS[0], LEAK_IDS[-1])))
            said = {name: record[name] for name in DECISIONS_SCHEMA.names[2:] if name in record}
            found.setdefault((a, b), Decision(image_id_a=a, image_id_b=b, **said))
    return [found[pair] for pair in sorted(found)]


def count_personal_data(
    lake: Lake, decisions: Iterable[SubsetDecision], *, tagged: bool = False
) -> dict[str, tuple[int, int]] | None:
    """Count personal data in the texts of an export.

    Args:
        lake: holds `text_quality`.
        decisions: the rows to export.
        tagged: whether all rows are exported.

    Returns:
        by kind, the number of values and of rows that have some; None if the texts of a subset, as it now is, were not
        searched.
    """
    values, rows = dict.fromkeys(KINDS, 0), dict.fromkeys(KINDS, 0)
    for decision in decisions:
        manifest = lake.manifest(LakeTable.TEXT_QUALITY, decision.subset)
        if manifest is None or manifest.source_revision != decision.version.revision:
            return None
        found = lake.read(manifest, "personal", columns=["row", "turn", "kind", "count"])
        if not tagged:
            found = found.filter(pa.array(decision.kept[found["row"].to_numpy()]))
        if decision.failing is not None:
            found = found.filter(pa.array(~decision.failing.at(found["row"].to_numpy(), found["turn"].to_numpy())))
        counted = found.group_by("kind").aggregate([("count", "sum"), ("row", "count_distinct")])
        for record in counted.to_pylist():
            values[record["kind"]] += record["count_sum"]
            rows[record["kind"]] += record["row_count_distinct"]
    return {kind: (values[kind], rows[kind]) for kind in KINDS}


def leave_out_turns(
    lake: Lake, source: Source, decisions: Iterable[SubsetDecision], rules: Rules, thresholds: Mapping[str, int]
) -> Iterator[SubsetDecision]:
    """Yield decisions with the turns of kept rows that miss the thresholds.

    Args:
        lake: holds the turns and their ratings.
        source: where the rows are.
        decisions: of `load_decisions`, which checks that rows were decided by these rules and thresholds.
        rules: must count `quality`, so that every kept row has a turn that passes.
        thresholds: lowest rating that passes, by criterion.

    Raises:
        ConfigError: the rules do not count `quality`, or there is no threshold.
        StaleError: turns or their ratings have changed since the rows were rated.
    """
    if not thresholds:
        raise ConfigError(
            "no turn can fail, because there are no thresholds: set VISDIV_QUALITY_THRESHOLDS, for example to blog, "
            "and run the subsets again"
        )
    if "quality" not in rules.drop:
        raise ConfigError(
            "rows may be left without turns, because VISDIV_DROP lacks quality: add it, and run the subsets again"
        )
    for decision in decisions:
        yield replace(decision, failing=_failing_turns(lake, source, decision, thresholds))


def _failing_turns(lake: Lake, source: Source, decision: SubsetDecision, thresholds: Mapping[str, int]) -> FailingTurns:
    subset = decision.subset
    rated, turns = lake.require(LakeTable.QUALITY_ROWS, subset), lake.require(LakeTable.SUBSET_TURNS, subset)
    which = as_ratings_from(rated.settings["ratings_from"])
    judged, judged_shards = judged_units(lake, turns) if which != "source" else (None, {})
    inputs = {manifest.table: manifest.digest for manifest in (turns, judged) if manifest is not None}
    if dict(rated.inputs) != inputs or turns.source_revision != decision.version.revision:
        raise StaleError(
            f"the turns of subset {subset!r}, or their ratings, have changed since rows were rated: "
            f"{remedy(LakeTable.QUALITY_ROWS, subset)}"
        )
    counts, failing = [np.empty(0, np.int64)], [np.empty(0, bool)]
    first = 0
    for shard in stored_turns(lake, turns):
        of_judge = judged_shards.get(shard.name)
        ratings = lake.read(of_judge, columns=list(CRITERIA)) if of_judge else None
        for batch in with_judge(shard.batches(quality.COLUMNS), ratings, which):
            counts.append(quality.turn_counts(batch))
            kept = decision.kept[first : first + batch.num_rows]
            failing.append(quality.failing_turns(batch, thresholds) & np.repeat(kept, counts[-1]))
            first += batch.num_rows
    texts = source.columns_taken(Kind.SUBSET, subset).texts
    return FailingTurns(subset, texts, np.concatenate(counts), np.concatenate(failing))


def _require_filter(lake: Lake, subset: str, curated: Manifest, now: QualityFilter | None) -> None:
    """Raise if the ratings of a subset were judged by other thresholds, or if rows were decided before they were.

    Args:
        lake: holds the ratings.
        subset: its name.
        curated: manifest of the decisions.
        now: the present thresholds; None if they drop no rows.
    """
    rated = lake.manifest(LakeTable.QUALITY_ROWS, subset)
    if rated is None:
        return
    then = QualityFilter(rated.settings.get("thresholds", {}), rated.settings.get("rule", "turn"))
    if now is not None and then != now:
        raise StaleError(
            f"VISDIV_QUALITY_THRESHOLDS or VISDIV_QUALITY_RULE changed since the ratings of subset {subset!r} were "
            f"judged: {remedy(LakeTable.QUALITY_ROWS, subset)}, or set it as it was"
        )
    if curated.inputs.get(f"{subset} {LakeTable.QUALITY_ROWS}", rated.digest) != rated.digest:
        raise StaleError(
            f"the ratings of subset {subset!r} were judged again since its rows were decided: "
            f"{remedy(LakeTable.CURATED_ROWS, CORPUS_PARTITION)}"
        )


def _require_rules(curated: Manifest, rules: Rules) -> None:
    now, then = rules.settings(), curated.settings
    changed = [name for name in {**now, **then} if now.get(name) != then.get(name)]
    if changed:
        variables = ", ".join(f"VISDIV_{name.upper()}" for name in changed)
        raise StaleError(
            f"{variables} changed since rows were decided: {remedy(LakeTable.CURATED_ROWS, CORPUS_PARTITION)}, which "
            "decides again, or set it as it was"
        )
