"""Read the stored decisions for `visdiv export`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from visdiv_assets.contamination.positions import LEAK_IDS
from visdiv_assets.corpus.tables import CORPUS_PARTITION, LakeTable, remedy
from visdiv_assets.curation.export import SubsetDecision
from visdiv_assets.curation.quality import RowRule
from visdiv_assets.curation.rules import Rules
from visdiv_assets.duplicates.candidates import SIDES
from visdiv_assets.duplicates.decided_pairs import DECIDED
from visdiv_assets.duplicates.person_decisions import DECISIONS_SCHEMA, Decision
from visdiv_assets.errors import StaleError
from visdiv_assets.sources import Kind, Source
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
    for subset in curated.facts["subsets"]:
        images = lake.require(LakeTable.SUBSET_IMAGES, subset)
        version = version_of(source, Kind.SUBSET, subset, known=images.facts["digests"])
        decided_for = curated.inputs[f"{subset} subset_images"]
        if images.digest != decided_for or version.revision != images.source_revision:
            raise StaleError(
                f"subset {subset!r} has changed since its rows were decided: "
                f"{remedy(LakeTable.CURATED_ROWS, CORPUS_PARTITION)}"
            )
        _require_filter(lake, subset, curated, quality_filter)
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
        found = lake.read(manifest, "personal", columns=["row", "kind", "count"])
        if not tagged:
            found = found.filter(pa.array(decision.kept[found["row"].to_numpy()]))
        counted = found.group_by("kind").aggregate([("count", "sum"), ("row", "count_distinct")])
        for record in counted.to_pylist():
            values[record["kind"]] += record["count_sum"]
            rows[record["kind"]] += record["row_count_distinct"]
    return {kind: (values[kind], rows[kind]) for kind in KINDS}


def _require_filter(lake: Lake, subset: str, curated: Manifest, now: QualityFilter) -> None:
    """Raise if the ratings of a subset were judged by other thresholds, or if rows were decided before they were."""
    rated = lake.manifest(LakeTable.QUALITY_ROWS, subset)
    if rated is None:
        return
    then = QualityFilter(rated.settings.get("thresholds", {}), rated.settings.get("rule", "turn"))
    if then != now:
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
