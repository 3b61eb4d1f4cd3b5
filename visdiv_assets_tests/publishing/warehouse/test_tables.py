"""The content of the published tables, except pairs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pytest

from visdiv_assets.publishing.warehouse.publish import publish
from visdiv_assets.storage.lake import Lake
from visdiv_assets.storage.manifest import Manifest
from visdiv_assets_tests.publishing.warehouse.lakes import NEIGHBORS, SOME, STAGES, A, B, C, Contents
from visdiv_assets_tests.publishing.warehouse.published_files import CONTRACT, Sample, query
from visdiv_assets_tests.storage.helpers import ODD_NAMES


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
