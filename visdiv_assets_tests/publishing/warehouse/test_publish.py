"""The published DuckDB file: its content, and how it replaces an older one."""

from __future__ import annotations

import hashlib
import itertools
import json
import shutil
import struct
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from visdiv_assets.curation.quality import HISTOGRAM_SCHEMA, QUALITY_SCHEMA, RULES_SCHEMA
from visdiv_assets.diversity.tables import SCORES_SCHEMA
from visdiv_assets.duplicates.near import PAIRS_SCHEMA
from visdiv_assets.duplicates.pair_verification import VERIFIED_SCHEMA
from visdiv_assets.duplicates.thresholds import NAMED_THRESHOLDS
from visdiv_assets.embedding.shards import IDS_SCHEMA
from visdiv_assets.errors import VisdivError
from visdiv_assets.imaging.listing import IMAGES_SCHEMA
from visdiv_assets.publishing.warehouse.publication import Publication
from visdiv_assets.publishing.warehouse.publish import Published, publish
from visdiv_assets.publishing.warehouse.schema import SCHEMA_VERSION
from visdiv_assets.storage.integrity import DamagedFileError
from visdiv_assets.storage.lake import Lake, PartitionWrite
from visdiv_assets.storage.manifest import Manifest
from visdiv_assets_tests.storage.helpers import ODD_NAMES, REPOSITORY, files_below, flip, run_python

#: Columns that the tests of the content read; `test_schema.py` covers all of them.
CONTRACT = {
    "subsets": "subset category rows rows_passing_quality images images_unique images_unreadable "
    "source_revision model_id materialized_at",
    "rows": "subset row file row_in_file images turns kept reason rating question",
    "images": "subset row image_index image_id format width height size_bytes status detail",
    "quality": "subset criterion rating turns",
    "close_pairs": "image_id_a image_id_b similarity model_id verdict evidence",
    "close_pair_positions": "subset_a row_a image_index_a subset_b row_b image_index_b similarity exact verdict",
    "duplicates": "subset_a row_a image_index_a file_a row_in_file_a path_a subset_b row_b image_index_b file_b "
    "row_in_file_b path_b similarity exact evidence confidence",
    "subset_summary": "subset rows rows_clean kept_share images images_unreadable images_duplicate images_contaminated "
    "diversity",
    "history": "published_at subset rows rows_clean images",
    "diversity": "scope subset images model_id centered effective_rank participation_ratio "
    "participation_ratio_unbiased vendi score",
    "meta": "schema_version product_version source settings published_at lake_format_version",
    "provenance": "table_name partition model_id source_revision settings code_version run_id materialized_at",
}

NEIGHBORS = [f"neighbors_{name}" for name in NAMED_THRESHOLDS]
STAGES = ("subset_images", "quality_rows", "sscd_embeddings", "sscd_index", "near_duplicates", "subset_diversity")

#: (row, image_index, image_id, status)
Place = tuple[int, int, str | None, str]
#: subset, row, image_index
Position = tuple[str, int, int]
PairRow = tuple[str, int, int, str, int, int, float, bool, str | None]


def image_id(number: int) -> str:
    return f"{number:032x}"


def as_pairs(pairs: dict[tuple[str, str], float]) -> pa.Table:
    rows = [{"image_id_a": a, "image_id_b": b, "similarity": value} for (a, b), value in sorted(pairs.items())]
    return pa.Table.from_pylist(rows, PAIRS_SCHEMA)


@dataclass
class Contents:
    """What a subset holds, as the stages would write it."""

    places: Sequence[Place]
    pairs: dict[tuple[str, str], float] = field(default_factory=dict)
    model_id: str = "model@weights/skew_320"
    ratings: Sequence[dict[tuple[str, int | None], int]] = ({("relevance", 5): 2, ("relevance", None): 1},)
    stages: Sequence[str] = STAGES
    counted: Sequence[str] = tuple(NEIGHBORS)

    @property
    def unique(self) -> list[str]:
        """Readable image_ids, in order of occurrence."""
        return list(dict.fromkeys(str(place[2]) for place in self.places if place[3] == "ok"))

    def write(self, lake: Lake, subset: str) -> None:
        """Write all stages."""
        for stage in self.stages:
            write = lake.write(
                stage,
                subset,
                code_version="1",
                model_id=None if stage in ("subset_images", "quality_rows") else self.model_id,
                settings={"of": stage},
                source_revision=f"revision of {subset}",
                run_id=f"run of {subset}",
            )
            write.commit(**getattr(self, f"_{stage}")(write))

    def _subset_images(self, write: PartitionWrite) -> dict[str, Any]:
        half = len(self.places) // 2
        for name, places in (("one.parquet", self.places[:half]), ("two.parquet", self.places[half:])):
            rows = [
                {
                    "row": row,
                    "image_index": index,
                    "image_id": name_of_bytes,
                    "format": "png" if status == "ok" else None,
                    "width": 3 if status == "ok" else None,
                    "height": 4 if status == "ok" else None,
                    "size_bytes": 100 + row,
                    "status": status,
                    "detail": "" if status == "ok" else f"it is {status}",
                }
                for row, index, name_of_bytes, status in places
            ]
            with write.add(name) as unit:
                unit.table("rows", pa.Table.from_pylist(rows, IMAGES_SCHEMA), IMAGES_SCHEMA)
        return {
            "rows": max((place[0] for place in self.places), default=-1) + 3,
            "images": len(self.places),
            "images_unique": len(self.unique),
            "images_unreadable": sum(place[3] != "ok" for place in self.places),
            "digests": {},
            "files": [],
        }

    def _quality_rows(self, write: PartitionWrite) -> dict[str, Any]:
        for number, ratings in enumerate(self.ratings):
            counted = [
                {"criterion": criterion, "rating": rating, "turns": turns}
                for (criterion, rating), turns in ratings.items()
            ]
            with write.add(f"{number}.parquet") as unit:
                unit.table("rows", QUALITY_SCHEMA.empty_table(), QUALITY_SCHEMA)
                unit.table("histogram", pa.Table.from_pylist(counted, HISTOGRAM_SCHEMA), HISTOGRAM_SCHEMA)
                unit.table("rules", RULES_SCHEMA.empty_table(), RULES_SCHEMA)
        return {"rows": 5, "rows_kept": 4, "turns": 7, "turns_kept": 6}

    def _sscd_embeddings(self, write: PartitionWrite) -> dict[str, Any]:
        with write.add("one.parquet") as unit:
            unit.array("vectors", np.ones((len(self.unique), 1), np.float16))
            unit.table("ids", pa.table({"image_id": pa.array(self.unique, pa.string())}), IDS_SCHEMA)
        return {"dimension": 1}

    def _sscd_index(self, write: PartitionWrite) -> dict[str, Any]:
        with write.add("index") as unit:
            unit.file("index", "faiss", lambda stream: stream.write(b"index"))
            unit.table("ids", pa.table({"image_id": pa.array(self.unique, pa.string())}), IDS_SCHEMA)
        return {"vectors": len(self.unique)}

    def _near_duplicates(self, write: PartitionWrite) -> dict[str, Any]:
        near = Counter(itertools.chain.from_iterable(self.pairs))
        counts = pa.table(
            {
                "image_id": pa.array(self.unique, pa.string()),
                "background_similarity": pa.nulls(len(self.unique), pa.float32()),
                **{name: pa.array([near[of] for of in self.unique], pa.int64()) for name in self.counted},
            }
        )
        with write.add("pairs") as unit:
            unit.table("pairs", as_pairs(self.pairs), PAIRS_SCHEMA)
            unit.table("counts", counts, counts.schema)
        return {}

    def _subset_diversity(self, write: PartitionWrite) -> dict[str, Any]:
        scores = [
            {"scope": scope, "images": 3, "model_id": self.model_id, "centered": centered, "vendi": 1.5, "score": None}
            for scope in ("subset", "subset_unique")
            for centered in (True, False)
        ]
        with write.add("moments") as unit:
            unit.table("moments", pa.table({"n": [1]}), pa.schema([("n", pa.int64())]))
            unit.table("scores", pa.Table.from_pylist(scores, SCORES_SCHEMA), SCORES_SCHEMA)
        return {}


A, B, C, D, X = map(image_id, (10, 11, 12, 13, 99))

SOME = Contents(
    [
        (0, 0, A, "ok"),
        (0, 1, B, "ok"),
        (1, 0, None, "empty"),
        (2, 0, A, "ok"),
        (2, 1, X, "truncated"),
        (3, 0, X, "truncated"),
    ],
    {(A, B): 0.9},
)
OTHER = Contents([(0, 0, B, "ok"), (5, 2, C, "ok"), (7, 0, A, "ok")], {(A, B): 0.9, (B, C): 0.8})


def fill_lake(root: Path) -> Lake:
    """A lake with two subsets, of which one has an odd name."""
    lake = Lake(root)
    SOME.write(lake, "some")
    OTHER.write(lake, "other+(x)")
    return lake


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """A lake of its own for a test that changes it or publishes it."""
    return fill_lake(tmp_path / "lake")


@dataclass(frozen=True)
class Sample:
    """A file published from a lake that was then removed."""

    path: Path
    published: Published


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Sample:
    folder = tmp_path_factory.mktemp("sample")
    lake = fill_lake(folder / "lake")
    published = publish(lake, folder / "visdiv.duckdb", category={"some": "OCR QA"}.get)
    shutil.rmtree(folder / "lake")
    return Sample(folder / "visdiv.duckdb", published)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the file is published: a folder with nothing else in it."""
    return tmp_path / "published" / "visdiv.duckdb"


def query(path: Path, sql: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(path), read_only=True) as connection:
        return connection.execute(sql).fetchall()


Verdicts = dict[tuple[str, str], bool | None]


def add_verdicts(lake: Lake, subset: str, verified: Verdicts, schema: pa.Schema = VERIFIED_SCHEMA) -> None:
    """Write the verdicts of the pairs of a subset, with a confidence of 1, 0 or 0.5."""
    rows = [
        {
            "image_id_a": a,
            "image_id_b": b,
            "similarity": 0.8,
            "verified": found,
            "confidence": 0.5 if found is None else float(found),
            "evidence": "aligned" if found else "unconfirmed",
        }
        for (a, b), found in verified.items()
    ]
    write = lake.write("verified_duplicates", subset, code_version="1", model_id=SOME.model_id)
    with write.add("pairs") as unit:
        unit.table("pairs", pa.Table.from_pylist(rows, schema), schema)
    write.commit()


def leave_changes(path: Path) -> None:
    """Change a published file as a client that dies before its changes are in the file."""
    code = (
        "import duckdb, os, sys; c = duckdb.connect(sys.argv[1]); c.execute('PRAGMA disable_checkpoint_on_shutdown'); "
        "c.execute('DELETE FROM images'); os._exit(0)"
    )
    subprocess.run([sys.executable, "-c", code, str(path)], check=True)


def slow_pair_positions(corpus: dict[str, Contents], between: dict[tuple[str, str], float]) -> list[PairRow]:
    """Every two positions compared."""
    places: list[tuple[Position, str]] = sorted(
        ((subset, row, index), str(name))
        for subset, contents in corpus.items()
        for row, index, name, status in contents.places
        if status == "ok"
    )
    near = dict(between)
    for contents in corpus.values():
        near.update(contents.pairs)
    found: list[PairRow] = []
    for (one, id_one), (other, id_other) in itertools.combinations(places, 2):
        pair = (min(id_one, id_other), max(id_one, id_other))
        if id_one == id_other:
            found.append((*one, *other, 1.0, True, "confirmed"))
        elif pair in near:
            found.append((*one, *other, near[pair], False, None))
    return sorted(found, key=repr)


def published_pair_positions(path: Path) -> list[PairRow]:
    columns = CONTRACT["close_pair_positions"].replace(" ", ", ")
    rows: list[Any] = query(path, f"SELECT {columns} FROM close_pair_positions")
    return sorted(rows, key=repr)


class TestContract:
    def test_tables_and_columns_of_the_contract_have_rows(self, sample: Sample) -> None:
        for table, columns in CONTRACT.items():
            names = ", ".join(f'"{column}"' for column in columns.split())
            assert query(sample.path, f"SELECT {names} FROM {table}"), f"{table} is empty"

    def test_every_table_view_and_column_has_a_comment(self, sample: Sample) -> None:
        described = query(
            sample.path,
            """SELECT table_name, comment FROM duckdb_tables() WHERE NOT internal
            UNION ALL SELECT view_name, comment FROM duckdb_views() WHERE NOT internal""",
        )
        assert {name for name, _ in described} >= CONTRACT.keys()
        columns = query(
            sample.path, "SELECT table_name || '.' || column_name, comment FROM duckdb_columns() WHERE NOT internal"
        )
        expected = {f"{table}.{column}" for table, columns in CONTRACT.items() for column in columns.split()}
        assert {name for name, _ in columns} >= expected
        assert [name for name, comment in described + columns if not comment] == []

    def test_duckdb_1_2_can_read_the_file(self, sample: Sample) -> None:
        header = sample.path.read_bytes()[:20]
        assert header[8:12] == b"DUCK"
        # DuckDB 1.2 is the first to read version 65, and reads no later one.
        assert struct.unpack("<Q", header[12:20])[0] <= 65
        assert query(sample.path, "SELECT tags['storage_version'] FROM duckdb_databases() WHERE NOT internal") == [
            ("v1.2.0+",)
        ]

    def test_an_empty_lake_gives_empty_tables(self, tmp_path: Path, path: Path) -> None:
        published = publish(Lake(tmp_path / "nothing"), path)
        assert {rows for table, rows in published.rows.items() if table not in ("meta", "diversity_published")} == {0}
        assert published.differences == []
        assert published.rows["meta"] == 1
        assert all(query(path, f"FROM {table}") == [] for table in CONTRACT if table != "meta")


class TestMeta:
    def test_meta_names_the_origin_of_the_file(self, lake: Lake, path: Path) -> None:
        publication = Publication("1.2.3", "data/sample", {"threads": 2, "drop": "quality"}, 7)
        publish(lake, path, publication=publication)
        ((*row, age),) = query(
            path,
            "SELECT schema_version, product_version, source, settings, lake_format_version, "
            "abs(epoch(published_at) - epoch(now())) FROM meta",
        )
        assert row == [SCHEMA_VERSION, "1.2.3", "data/sample", '{"drop": "quality", "threads": 2}', 7]
        assert age < 300

    def test_an_unknown_origin_is_null(self, sample: Sample) -> None:
        assert query(sample.path, "SELECT product_version, source, settings FROM meta") == [(None, None, "{}")]


class TestTables:
    def test_a_subset_is_one_row_with_its_numbers(self, sample: Sample) -> None:
        columns = CONTRACT["subsets"].removesuffix(" materialized_at").replace(" ", ", ")
        rows = query(sample.path, f"SELECT {columns} FROM subsets ORDER BY subset")
        model = SOME.model_id
        assert rows == [
            ("other+(x)", None, 10, 4, 3, 3, 0, "revision of other+(x)", model),
            ("some", "OCR QA", 6, 4, 6, 2, 3, "revision of some", model),
        ]
        (age,) = query(sample.path, "SELECT max(abs(epoch(materialized_at) - epoch(now()))) FROM subsets")[0]
        assert age < 300

    def test_every_position_is_one_row_in_order(self, sample: Sample) -> None:
        rows = query(sample.path, "SELECT \"row\", image_index, image_id, status FROM images WHERE subset = 'some'")
        assert rows == list(SOME.places)
        columns = "format, width, height, size_bytes, detail"
        assert query(sample.path, f"SELECT {columns} FROM images WHERE image_id = '{C}'") == [("png", 3, 4, 105, "")]
        assert query(sample.path, f"SELECT {columns} FROM images WHERE status = 'empty'") == [
            (None, None, None, 101, "it is empty")
        ]

    def test_neighbors_are_told_at_every_readable_position(self, sample: Sample) -> None:
        names = ", ".join(NEIGHBORS)
        rows = query(sample.path, f"SELECT subset, image_id, status, {names} FROM images")
        assert len(rows) == 9
        expected = {("some", A): 1, ("some", B): 1, ("other+(x)", A): 1, ("other+(x)", B): 2, ("other+(x)", C): 1}
        for subset, name, status, *counts in rows:
            assert counts == [expected[subset, name] if status == "ok" else None] * len(NEIGHBORS)

    def test_neighbors_below_the_floor_or_not_computed_are_unknown(self, tmp_path: Path, path: Path) -> None:
        lake = Lake(tmp_path / "lake")
        Contents([(0, 0, A, "ok")], counted=["neighbors_finevision"]).write(lake, "high")
        Contents([(0, 0, A, "ok")], stages=["subset_images"]).write(lake, "early")
        publish(lake, path)
        rows = query(path, f"SELECT subset, {', '.join(NEIGHBORS)} FROM images ORDER BY subset")
        assert rows == [("early", None, None, None, None), ("high", 0, None, None, None)]

    def test_ratings_of_all_shards_are_added_up(self, tmp_path: Path, path: Path) -> None:
        lake = Lake(tmp_path / "lake")
        Contents(
            [],
            ratings=[
                {("relevance", 5): 2, ("relevance", None): 1, ("formatting", 1): 4},
                {("relevance", 5): 3, ("relevance", None): 5, ("relevance", 1): 7},
                {},
            ],
        ).write(lake, "some")
        published = publish(lake, path)
        order = "criterion::VARCHAR, rating NULLS LAST"
        rows = query(path, f"SELECT criterion, rating, turns FROM quality WHERE subset = 'some' ORDER BY {order}")
        assert rows == [
            ("formatting", 1, 4),
            ("relevance", 1, 7),
            ("relevance", 5, 5),
            ("relevance", None, 6),
        ]
        assert published.differences == []

    def test_diversity_has_a_row_per_scope_and_centring(self, sample: Sample) -> None:
        rows = query(
            sample.path,
            "SELECT scope, centered, images, vendi, score FROM diversity WHERE subset = 'some' ORDER BY 1, 2",
        )
        assert rows == [
            (scope, centered, 3, 1.5, None) for scope in ("subset", "subset_unique") for centered in (False, True)
        ]

    def test_every_partition_of_the_lake_has_its_provenance(self, sample: Sample) -> None:
        rows = query(
            sample.path, "SELECT table_name, partition, model_id, source_revision, settings, run_id FROM provenance"
        )
        assert sorted(rows, key=repr) == sorted(
            (
                (
                    stage,
                    subset,
                    None if stage in ("subset_images", "quality_rows") else SOME.model_id,
                    f"revision of {subset}",
                    json.dumps({"of": stage}),
                    f"run of {subset}",
                )
                for stage in STAGES
                for subset in ("some", "other+(x)")
            ),
            key=repr,
        )

    @pytest.mark.parametrize("stages", [STAGES[:end] for end in range(1, 7)], ids=lambda stages: stages[-1])
    def test_stages_that_have_not_run_leave_gaps_not_errors(
        self, tmp_path: Path, path: Path, stages: Sequence[str]
    ) -> None:
        lake = Lake(tmp_path / "lake")
        Contents(SOME.places, SOME.pairs, stages=stages).write(lake, "some")
        published = publish(lake, path)
        assert published.differences == []
        expected = {
            "subsets": 1,
            "images": 6,
            "quality": 2 if "quality_rows" in stages else 0,
            "close_pairs": 1 if "near_duplicates" in stages else 0,
            "diversity": 4 if "subset_diversity" in stages else 0,
            "provenance": len(stages),
        }
        assert {table: published.rows[table] for table in expected} == expected

    @pytest.mark.parametrize(("turns_now", "ratings", "kept"), [(1, 2, 4), (2, 0, None)])
    def test_ratings_of_older_turns_are_not_published(
        self, tmp_path: Path, path: Path, turns_now: int, ratings: int, kept: int | None
    ) -> None:
        lake = Lake(tmp_path / "lake")
        Contents(SOME.places, stages=STAGES[:1]).write(lake, "some")

        def store_turns(count: int) -> Manifest:
            write = lake.write("subset_turns", "some", code_version="1")
            with write.add("one.parquet") as unit:
                unit.table("rows", rows := pa.table({"turns": [1] * count}), rows.schema)
            return write.commit()

        write = lake.write("quality_rows", "some", code_version="1", inputs={"subset_turns": store_turns(1).digest})
        write.commit(**SOME._quality_rows(write))
        store_turns(turns_now)
        published = publish(lake, path)
        assert (published.differences, published.rows["quality"]) == ([], ratings)
        assert query(path, "SELECT rows_passing_quality FROM subsets") == [(kept,)]

    def test_subsets_may_have_odd_names(self, tmp_path: Path, path: Path) -> None:
        lake = Lake(tmp_path / "lake")
        for name in ODD_NAMES:
            stages = ("subset_images", "near_duplicates")
            Contents([(0, 0, A, "ok"), (0, 1, B, "ok")], {(A, B): 0.9}, stages=stages).write(lake, name)
        published = publish(lake, path)
        assert {name for (name,) in query(path, "SELECT subset FROM subsets")} == set(ODD_NAMES)
        assert query(path, "SELECT DISTINCT count(*) FROM images GROUP BY subset") == [(2,)]
        assert published.differences == []


class TestPairs:
    def test_a_pair_in_two_subsets_is_one_row(self, sample: Sample) -> None:
        columns = CONTRACT["close_pairs"].replace(" ", ", ")
        rows = query(sample.path, f"SELECT {columns} FROM close_pairs ORDER BY ALL")
        model = SOME.model_id
        assert [(*row[:2], round(row[2], 6), *row[3:]) for row in rows] == [
            (A, B, 0.9, model, None, None),
            (B, C, 0.8, model, None, None),
        ]

    def test_positions_of_pairs_are_listed_once_in_order(self, sample: Sample) -> None:
        listed = [row[:6] for row in published_pair_positions(sample.path)]
        assert all(row[:3] < row[3:] for row in listed)
        assert len(listed) == len(set(listed))
        assert ("some", 0, 0, "some", 2, 0) in listed
        assert ("other+(x)", 0, 0, "some", 0, 0) in listed
        # The same bytes, but they are no image.
        assert ("some", 2, 1, "some", 3, 0) not in listed

    def test_only_confirmed_pairs_are_duplicates(self, lake: Lake, path: Path) -> None:
        add_verdicts(lake, "other+(x)", {(A, B): False, (B, C): True})
        publish(lake, path)
        verdicts = query(path, "SELECT DISTINCT verdict::VARCHAR FROM close_pairs ORDER BY ALL")
        assert verdicts == [("confirmed",), ("rejected",)]
        near = query(path, "SELECT subset_a, row_a, subset_b, row_b FROM duplicates WHERE NOT exact ORDER BY ALL")
        assert near == [("other+(x)", 0, "other+(x)", 5), ("other+(x)", 5, "some", 0)]
        assert query(path, "SELECT count(*) FROM duplicates WHERE exact") == [(4,)]

    def test_an_undecided_pair_is_neither_rejected_nor_new(self, lake: Lake, path: Path) -> None:
        # A and C are not close: only a confirmed pair is listed then.
        add_verdicts(lake, "other+(x)", {(A, B): None, (B, C): False, (A, C): None})
        assert publish(lake, path).differences == []
        listed = query(path, "SELECT image_id_a, image_id_b, verdict, confidence FROM close_pairs ORDER BY ALL")
        assert listed == [(A, B, "undecided", 0.5), (B, C, "rejected", 0)]

    def test_of_two_verdicts_the_first_counts_with_its_columns(self, lake: Lake, path: Path) -> None:
        add_verdicts(lake, "other+(x)", {(A, B): None, (B, C): False})
        add_verdicts(lake, "some", {(A, B): True, (B, C): None})
        assert publish(lake, path).differences == []
        listed = query(path, "SELECT verdict, confidence, evidence FROM close_pairs ORDER BY ALL")
        assert listed == [("confirmed", 1, "aligned"), ("rejected", 0, "unconfirmed")]

    def test_verdicts_of_older_versions_have_no_confidence(self, lake: Lake, path: Path) -> None:
        older = VERIFIED_SCHEMA.remove(VERIFIED_SCHEMA.get_field_index("confidence"))
        add_verdicts(lake, "other+(x)", {(A, B): True, (B, C): False}, older)
        assert publish(lake, path).differences == []
        listed = query(path, "SELECT verdict, confidence FROM close_pairs ORDER BY ALL")
        assert listed == [("confirmed", None), ("rejected", None)]

    def test_a_pair_that_two_models_found_is_listed_once(self, tmp_path: Path, path: Path) -> None:
        lake = Lake(tmp_path / "lake")
        places: list[Place] = [(0, 0, A, "ok"), (0, 1, B, "ok")]
        Contents(places, {(A, B): 0.9}, model_id="one").write(lake, "some")
        Contents(places, {(A, B): 0.8}, model_id="two").write(lake, "other")
        publish(lake, path)
        assert query(path, "SELECT model_id FROM close_pairs ORDER BY 1") == [("one",), ("two",)]
        listed = [row[:6] for row in published_pair_positions(path)]
        assert len(listed) == len(set(listed)) == 6


NUMBER_PAIRS = st.sets(st.sampled_from(list(itertools.combinations(range(5), 2))))


def named_pairs(pairs: set[tuple[int, int]], readable: set[int]) -> dict[tuple[str, str], float]:
    """Those of readable images; a similarity depends on the two images alone."""
    return {(image_id(a), image_id(b)): 0.75 + (5 * a + b) / 128 for a, b in pairs if {a, b} <= readable}


@st.composite
def corpora(draw: st.DrawFn) -> tuple[dict[str, Contents], dict[tuple[str, str], float]]:
    """Subsets with pairs within them, and pairs between them."""
    statuses = dict.fromkeys(range(5), "ok") | {5: "corrupt", None: "empty"}
    corpus = {}
    anywhere: set[int] = set()
    for subset in draw(st.lists(st.sampled_from(["a", "B", "b", "é", "a+(x)", "\U0001f986"]), unique=True, max_size=3)):
        where = draw(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 2)), unique=True, max_size=8))
        numbers = [draw(st.sampled_from(list(statuses))) for _ in where]
        places: list[Place] = [
            (*place, None if number is None else image_id(number), statuses[number])
            for place, number in zip(sorted(where), numbers, strict=True)
        ]
        readable = {number for number in numbers if number is not None and statuses[number] == "ok"}
        anywhere |= readable
        corpus[subset] = Contents(
            places, named_pairs(draw(NUMBER_PAIRS), readable), stages=("subset_images", "near_duplicates")
        )
    return corpus, named_pairs(draw(NUMBER_PAIRS), anywhere)


@pytest.mark.nightly
@settings(deadline=None, max_examples=20)
@given(corpora())
def test_pair_positions_equal_those_of_a_brute_force_search(
    drawn: tuple[dict[str, Contents], dict[tuple[str, str], float]],
) -> None:
    corpus, between = drawn
    with tempfile.TemporaryDirectory() as folder:
        lake, path = Lake(Path(folder) / "lake"), Path(folder) / "visdiv.duckdb"
        for subset, contents in corpus.items():
            contents.write(lake, subset)
        write = lake.write("cross_subset_duplicates", "all", code_version="1", model_id=SOME.model_id)
        with write.add("some | other") as unit:
            unit.table("pairs", as_pairs(between), PAIRS_SCHEMA)
        write.commit()
        published = publish(lake, path)
        assert published.differences == []
        assert published_pair_positions(path) == slow_pair_positions(corpus, between)
        pairs = {*between, *(pair for contents in corpus.values() for pair in contents.pairs)}
        assert query(path, "SELECT image_id_a, image_id_b FROM close_pairs") == sorted(pairs)
        assert published.rows["images"] == sum(len(contents.places) for contents in corpus.values())


class TestCounts:
    def test_counts_of_file_and_lake_agree(self, sample: Sample) -> None:
        rows = sample.published.rows
        assert rows == sample.published.expected_rows
        assert rows == {table: len(query(sample.path, f"FROM {table}")) for table in rows}
        expected = {
            "subsets": 2,
            "images": 9,
            "quality": 4,
            "close_pairs": 2,
            "diversity": 8,
            "provenance": 12,
            "history": 2,
        }
        assert {table: rows[table] for table in expected} == expected
        assert sample.published.differences == []

    def test_rows_that_the_lake_lost_are_reported(self, lake: Lake, path: Path) -> None:
        manifest = lake.require("subset_images", "some")
        file = manifest.files("rows")[1]
        stored = Path(lake.files.root) / "subset_images" / "some" / file.name
        pq.write_table(pq.read_table(stored).slice(1), stored)
        # The manifest states the size and checksum of the new file, so that only the rows can tell.
        record = Path(lake.files.root) / "subset_images" / "some" / "manifest.json"
        value = json.loads(record.read_bytes())
        stated = value["units"][1]["files"]["rows"]
        stated["size_bytes"], stated["sha256"] = stored.stat().st_size, hashlib.sha256(stored.read_bytes()).hexdigest()
        record.write_text(json.dumps(value))
        assert publish(lake, path).differences == ["images: 8 rows published, 9 in the lake"]


def publications(path: Path) -> list[str]:
    """Names of all files in the published file's folder."""
    return sorted(files_below(path.parent))


class TestReplacement:
    def test_publishing_again_replaces_the_file(self, lake: Lake, path: Path) -> None:
        publish(lake, path)
        Contents([(0, 0, D, "ok")]).write(lake, "third")
        publish(lake, path)
        assert query(path, "SELECT subset FROM subsets ORDER BY 1") == [("other+(x)",), ("some",), ("third",)]
        assert publications(path) == ["visdiv.duckdb"]

    def test_publishing_the_same_lake_again_gives_the_same_rows(self, lake: Lake, path: Path) -> None:
        publish(lake, path)
        tables = CONTRACT.keys() - {"meta"}
        before = {table: query(path, f"FROM {table}") for table in tables}
        publish(lake, path)
        assert {table: query(path, f"FROM {table}") for table in tables} == before

    def test_a_reader_keeps_the_old_state_a_new_process_sees_the_new(self, lake: Lake, path: Path) -> None:
        publish(lake, path)
        reader = subprocess.Popen(
            [sys.executable, "-c", READER, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert reader.stdin is not None
        assert reader.stdout is not None
        with reader:
            assert reader.stdout.readline() == "2 subsets, 9 images\n"
            Contents([(0, 0, D, "ok")]).write(lake, "third")
            publish(lake, path)
            reader.stdin.write("again\n")
            reader.stdin.flush()
            assert reader.stdout.readline() == "2 subsets, 9 images\n"
            reader.stdin.close()
        assert reader.returncode == 0
        new = subprocess.run([sys.executable, "-c", READER, path], input="", capture_output=True, text=True, check=True)
        assert new.stdout == "3 subsets, 10 images\n"

    def test_a_server_sees_the_new_state_after_closing_the_old_one(self, lake: Lake, path: Path) -> None:
        publish(lake, path)
        with duckdb.connect(str(path), read_only=True):
            Contents([(0, 0, D, "ok")]).write(lake, "third")
            publish(lake, path)
            # A process opens a file once for all of its connections.
            assert query(path, "SELECT count(*) FROM subsets") == [(2,)]
        assert query(path, "SELECT count(*) FROM subsets") == [(3,)]

    @pytest.mark.nightly
    def test_readers_do_not_wait_for_a_publication(self, lake: Lake, path: Path) -> None:
        publish(lake, path)
        publisher = subprocess.Popen([sys.executable, "-c", PUBLISHER, lake.files.root, path], cwd=REPOSITORY)
        reads = 0
        while publisher.poll() is None:
            assert query(path, "SELECT count(*) FROM images") == [(9,)]
            reads += 1
        assert publisher.returncode == 0
        assert reads > 0

    def test_a_failed_publish_keeps_the_old_file_and_leaves_no_other(self, lake: Lake, path: Path) -> None:
        publish(lake, path)
        old = path.read_bytes()
        (Path(lake.files.root) / "subset_diversity" / "some" / "manifest.json").write_bytes(b"{")
        with pytest.raises(VisdivError, match="is not a manifest"):
            publish(lake, path)
        assert files_below(path.parent) == {"visdiv.duckdb": old}

    def test_a_defect_in_the_lake_keeps_only_the_old_file(self, lake: Lake, path: Path) -> None:
        publish(lake, path)
        old = path.read_bytes()
        write = lake.write("subset_diversity", "some", code_version="1")
        with write.add("moments") as unit:
            unit.table("scores", pa.table({"images": ["many"]}), pa.schema([("images", pa.string())]))
        write.commit()
        with pytest.raises(VisdivError, match="subset_diversity of 'some' was written by another version"):
            publish(lake, path)
        assert files_below(path.parent) == {"visdiv.duckdb": old}

    def test_changes_of_a_program_that_died_are_removed(self, lake: Lake, path: Path) -> None:
        publish(lake, path)
        leave_changes(path)
        assert query(path, "SELECT count(*) FROM images") == [(0,)]
        publish(lake, path)
        assert query(path, "SELECT count(*) FROM images") == [(9,)]
        assert list(files_below(path.parent)) == [path.name]

    def test_changes_beside_a_link_and_its_target_are_removed(self, lake: Lake, path: Path, tmp_path: Path) -> None:
        (tmp_path / "bi").mkdir()
        path.parent.mkdir()
        path.symlink_to(tmp_path / "bi" / "findings.duckdb")
        publish(lake, path)
        for opened in (path, tmp_path / "bi" / "findings.duckdb"):
            leave_changes(opened)
        publish(lake, path)
        assert query(path, "SELECT count(*) FROM images") == [(9,)]
        assert list(files_below(tmp_path / "bi")) == ["findings.duckdb"]
        assert list(files_below(path.parent)) == [path.name]

    @pytest.mark.parametrize("exists", [True, False])
    def test_a_link_stays_and_its_target_is_replaced(
        self, lake: Lake, path: Path, tmp_path: Path, exists: bool
    ) -> None:
        target = tmp_path / "bi" / "findings.duckdb"
        target.parent.mkdir()
        path.parent.mkdir()
        path.symlink_to("../bi/findings.duckdb")
        if exists:
            target.write_bytes(b"old")
        publish(lake, path)
        assert path.readlink() == Path("../bi/findings.duckdb")
        assert query(target, "SELECT count(*) FROM images") == [(9,)]
        assert list(files_below(target.parent)) == [target.name]

    def test_a_link_to_a_missing_folder_is_one_line(self, lake: Lake, path: Path, tmp_path: Path) -> None:
        path.parent.mkdir()
        path.symlink_to(tmp_path / "unmounted" / "findings.duckdb")
        with pytest.raises(VisdivError, match=f"cannot write {path}"):
            publish(lake, path)
        assert not (tmp_path / "unmounted").exists()

    def test_the_mode_of_the_file_is_kept(self, lake: Lake, path: Path) -> None:
        publish(lake, path)
        for mode in (0o664, 0o640, 0o444):
            path.chmod(mode)
            publish(lake, path)
            assert path.stat().st_mode & 0o777 == mode

    def test_flipped_bytes_are_named_and_never_published(self, lake: Lake, path: Path) -> None:
        publish(lake, path)
        old = path.read_bytes()
        root = Path(lake.files.root)
        flipped = [*root.glob("near_duplicates/some/*.pairs.parquet"), *root.glob("sscd_embeddings/some/*.npy")]
        for file in flipped:
            flip(file)
        with pytest.raises(
            DamagedFileError, match=r"near_duplicates of 'some', sscd_embeddings of 'some' again"
        ) as error:
            publish(lake, path)
        assert str(flipped[0]) in str(error.value)
        assert files_below(path.parent) == {"visdiv.duckdb": old}
        assert [file.exists() for file in flipped] == [False] * len(flipped)

    def test_a_missing_file_of_the_lake_is_named_in_one_line(self, lake: Lake, path: Path) -> None:
        publish(lake, path)
        old = path.read_bytes()
        for stored in (Path(lake.files.root) / "near_duplicates" / "some").glob("*.pairs.parquet"):
            stored.unlink()
        with pytest.raises(VisdivError, match="near_duplicates") as caught:
            publish(lake, path)
        assert "cannot write" not in str(caught.value)
        assert files_below(path.parent) == {"visdiv.duckdb": old}

    def test_a_place_that_cannot_be_written_is_one_line(self, lake: Lake, tmp_path: Path) -> None:
        (tmp_path / "file").write_bytes(b"a file")
        (tmp_path / "folder" / "inside").mkdir(parents=True)
        for target in (tmp_path / "file" / "visdiv.duckdb", tmp_path / "folder"):
            with pytest.raises(VisdivError, match=f"cannot write {target}") as caught:
                publish(lake, target)
            assert len(str(caught.value).splitlines()) == 1
        assert sorted(entry.name for entry in tmp_path.iterdir()) == ["file", "folder", "lake"]

    @pytest.mark.nightly
    def test_a_full_disk_leaves_the_old_file_or_a_complete_new_one(self, path: Path) -> None:
        done = run_python(FULL_DISK, path)
        assert done.returncode == 0, done.stderr
        outcomes = [json.loads(line) for line in done.stdout.splitlines()]
        assert len(outcomes) == 9
        assert outcomes[0]["error"] is not None
        assert outcomes[-1]["error"] is None
        for outcome in outcomes:
            assert outcome["files"] == ["visdiv.duckdb"], outcome
            assert outcome["state"] == ("complete" if outcome["error"] is None else "old"), outcome
            if outcome["error"] is not None:
                assert outcome["error"].startswith(f"cannot write {path}: "), outcome


READER = """
import sys, duckdb
connection = duckdb.connect(sys.argv[1], read_only=True)
def tell():
    count = lambda table: connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
    print(f"{count('subsets')} subsets, {count('images')} images", flush=True)
tell()
for line in sys.stdin:
    tell()
"""

PUBLISHER = """
import sys
from visdiv_assets.storage.lake import Lake
from visdiv_assets.publishing.warehouse.publish import publish
for _ in range(3):
    publish(Lake(sys.argv[1]), sys.argv[2])
"""

FULL_DISK = """
import json, resource, sys
from pathlib import Path
import duckdb
from visdiv_assets.errors import VisdivError
from visdiv_assets.storage.lake import Lake
from visdiv_assets.publishing.warehouse.publish import publish
from visdiv_assets_tests.publishing.warehouse.test_publish import Contents, NEIGHBORS, image_id, publications

path = Path(sys.argv[1])
lake = Lake(path.parent.parent / "lake")
# More than a row group, which DuckDB writes before it commits.
rows = 125_000
ids = [image_id(number * 2654435761 % (1 << 100)) for number in range(rows)]
Contents([(row, 0, ids[row], "ok") for row in range(rows)], {(ids[0], ids[1]): 0.9}).write(lake, "some")

def state():
    if path.read_bytes() == b"old":
        return "old"
    try:
        with duckdb.connect(str(path), read_only=True) as connection:
            count, = connection.execute(
                f"SELECT count(DISTINCT image_id) FROM images WHERE status = 'ok' AND {NEIGHBORS[0]} IS NOT NULL"
            ).fetchone()
            pairs, = connection.execute("SELECT count(*) FROM close_pair_positions").fetchone()
            return "complete" if (count, pairs) == (rows, 1) else f"{count} of {rows}, {pairs} pairs"
    except duckdb.Error as error:
        return repr(error)

publish(lake, path)
size = path.stat().st_size
assert state() == "complete"
unlimited = resource.RLIM_INFINITY
limits = [1000, 12_288, 20_000, size // 4, size // 2, size * 3 // 4, size * 9 // 10, size - 1, 3 * size]
for limit in limits:
    path.write_bytes(b"old")
    error = None
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, unlimited))
    try:
        publish(lake, path)
    except VisdivError as rejected:
        error = str(rejected)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (unlimited, unlimited))
    print(json.dumps({"limit": limit, "error": error, "files": publications(path), "state": state()}))
    for left in path.parent.iterdir():
        left.unlink()
"""
