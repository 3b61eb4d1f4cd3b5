"""`visdiv select`, and a clean copy that keeps the best rows, on small subsets with made-up CLIP vectors."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from click.testing import Result

from visdiv_assets.curation.selection.methods import METHODS
from visdiv_assets.curation.selection.select import CHOICES, CHOSEN_SCHEMA, MODELS, PAIRS
from visdiv_assets.settings import Settings
from visdiv_assets.storage.lake import Lake
from visdiv_assets_tests.cli.test_main import refused, visdiv
from visdiv_assets_tests.conftest import Row, image, made_once, query, write_shard
from visdiv_assets_tests.testing.clip_lakes import add_clip_images, add_clip_texts, unit

#: Each takes many seconds.
pytestmark = pytest.mark.nightly

SUBSETS = {"birds": range(1, 13), "geoqa+(x)": range(21, 29)}
ROWS = sum(len(seeds) for seeds in SUBSETS.values())


def make(folder: Path) -> None:
    """A source, and a lake with the findings of all stages; the CLIP vectors are drawn."""
    source, data = folder / "source", folder / "data"
    for subset, seeds in SUBSETS.items():
        write_shard(source, subset, [Row([image(seed)]) for seed in seeds])
    for _ in range(2):
        ran = visdiv("run", "--all", source=source, data=data, VISDIV_CLIP_MODEL="")
        assert ran.exit_code == 0, ran.output
        add_vectors(Lake(Settings(data=str(data)).lake_root))


def add_vectors(lake: Lake) -> None:
    random = np.random.default_rng(0)
    for subset, seeds in SUBSETS.items():
        images = lake.require("subset_images", subset)
        ids = lake.read(lake.require("sscd_embeddings", subset), "ids")["image_id"].to_pylist()
        add_clip_images(
            lake, subset, dict(zip(ids, unit(random.standard_normal((len(ids), 5))), strict=True)), images=images
        )
        turns = [(row, 0, f"text {row}") for row in range(len(seeds)) if row]
        texts = {f"text {row}": unit(random.standard_normal(5)) for row in range(1, len(seeds))}
        add_clip_texts(lake, subset, texts, turns, images=images)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_once(tmp_path_factory, "selecting", make)


def select(made: Path, *arguments: str) -> Result:
    return visdiv("select", *arguments, source=made / "source", data=made / "data", VISDIV_CLIP_MODEL="")


# Those that embed texts again need weights: see test_number_masked.
@pytest.mark.parametrize("method", [method for method in CHOICES if method not in MODELS])
def test_every_method_writes_the_best_rows_first(made: Path, tmp_path: Path, method: str) -> None:
    out = tmp_path / "new" / "kept.parquet"
    result = select(made, method, "--k", "7", "--out", str(out))
    assert result.exit_code == 0, result.output
    chosen = pq.read_table(out)
    assert chosen.schema.names == [*CHOSEN_SCHEMA.names, "image_ids", "source_revision"]
    assert chosen.num_rows == 7
    rows = list(zip(chosen["subset"].to_pylist(), chosen["row"].to_pylist(), strict=True))
    assert len(set(rows)) == 7
    assert all(row < len(SUBSETS[subset]) for subset, row in rows)
    if method in PAIRS:
        # The first rows have no text, and are no pairs.
        assert all(row for _, row in rows)
    scores = chosen["score"].to_pylist()
    assert scores == sorted(scores, reverse=method not in ("semdedup", "conformity"))
    assert result.stdout.startswith(f"7 rows, {METHODS[method].keeps} scores first; a high score means: ")


def test_fraction_and_subset_limit_the_selection(made: Path, tmp_path: Path) -> None:
    out = tmp_path / "kept.parquet"
    assert select(made, "semdedup", "--fraction", "0.5", "--out", str(out)).exit_code == 0
    assert pq.read_table(out).num_rows == ROWS // 2
    assert select(made, "k_center", "--fraction", "1", "--subset", "birds", "--out", str(out)).exit_code == 0
    assert set(pq.read_table(out)["subset"].to_pylist()) == {"birds"}
    assert pq.read_table(out).num_rows == len(SUBSETS["birds"])


def test_without_a_file_the_best_rows_are_printed(made: Path) -> None:
    result = select(made, "conformity", "--k", "3", "--subset", "geoqa+(x)")
    assert result.exit_code == 0, result.output
    assert result.stdout.count("geoqa+(x)") == 3


def test_rows_with_the_score_at_the_cut_are_counted(made: Path, tmp_path: Path) -> None:
    result = select(made, "text_overlap", "--k", "10", "--out", str(tmp_path / "kept.parquet"))
    assert f"{ROWS} rows share the score at the cut, 0: 10 of them were drawn at random." in result.stdout
    subsets = pq.read_table(tmp_path / "kept.parquet")["subset"].to_pylist()
    assert set(subsets) == set(SUBSETS)
    assert "share the score" not in select(made, "text_overlap", "--k", str(ROWS)).stdout


def test_a_threshold_selects_all_rows_of_its_score(made: Path, tmp_path: Path) -> None:
    out = tmp_path / "kept.parquet"
    assert select(made, "semdedup", "--fraction", "1", "--out", str(out)).exit_code == 0
    scores = pq.read_table(out)["score"].to_pylist()
    result = select(made, "semdedup", "--threshold", repr(scores[6]), "--out", str(out))
    assert result.exit_code == 0, result.output
    assert pq.read_table(out)["score"].to_pylist() == [score for score in scores if score <= scores[6]]
    assert "has no threshold" in refused(select(made, "k_center", "--threshold", "0.5"))


def chosen_by(made: Path, out: Path, *arguments: str) -> list[tuple[str, int, float]]:
    result = select(made, *arguments, "--out", str(out))
    assert result.exit_code == 0, result.output
    return list(zip(*(pq.read_table(out)[name].to_pylist() for name in CHOSEN_SCHEMA.names), strict=True))


def test_options_are_those_of_the_papers(made: Path, tmp_path: Path) -> None:
    out, words = tmp_path / "kept.parquet", tmp_path / "words.txt"
    every = chosen_by(made, out, "semdedup", "--threshold", "1")
    assert chosen_by(made, out, "semdedup", "--epsilon", "0.5") == [each for each in every if each[2] <= 0.5]
    # One cluster compares each image with all before it.
    together = chosen_by(made, out, "semdedup", "--clusters", "1", "--fraction", "1")
    assert sum(score for _, _, score in together) > sum(score for _, _, score in every)
    words.write_text("question\n")
    drawn = chosen_by(made, out, "metaclip", "--k", "5", "--concepts", str(words), "--seed", "1")
    assert drawn != chosen_by(made, out, "metaclip", "--k", "5", "--concepts", str(words), "--seed", "2")
    words.write_text("absent\n")
    assert "no text contains an entry" in refused(select(made, "metaclip", "--k", "5", "--concepts", str(words)))
    assert chosen_by(made, out, "k_center", "--k", "5", "--seed", "1") != chosen_by(
        made, out, "k_center", "--k", "5", "--seed", "2"
    )
    assert len(chosen_by(made, out, "clip_cov", "--k", "5", "--clusters", "2")) == 5


def test_methods_are_compared_on_the_same_rows(made: Path) -> None:
    result = select(made, "--compare", "--fraction", "0.5")
    assert result.exit_code == 0, result.output
    for part in (
        "Fraction of each subset that each method selects",
        "Agreement of each pair",
        "Diversity of the selected rows, by CLIP vectors",
    ):
        assert part in result.stdout
    for method in ("semdedup", "conformity", "whitened_clip", "clip_score", "clippings", "wfpp", "everything"):
        assert method in result.stdout
    assert "number_masked was left out: " in result.stdout


def test_named_methods_are_compared(made: Path) -> None:
    result = select(made, "--compare", "k_center", "text_overlap", "--fraction", "0.5", "--subset", "birds")
    assert result.exit_code == 0, result.output
    assert "geoqa" not in result.stdout
    agreement = next(fields for line in result.stdout.splitlines() if (fields := line.split())[1:2] == ["text_overlap"])
    assert agreement[:4] == ["k_center", "text_overlap", "6", "6"]


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("nothing", "--k", "1"), "unknown selection method 'nothing'"),
        (("semdedup", "--k", "1", "--subset", "nowhere"), "selection_scores do not cover 'nowhere'"),
        (("wfpp", "--k", "1", "--subset", "nowhere"), "subset_images of 'nowhere' is not materialized"),
        (("wfpp", "--k", "1", "--seed", "1"), "wfpp has no option --seed: it belongs to semdedup"),
    ],
)
def test_an_impossible_selection_is_refused(made: Path, arguments: tuple[str, ...], line: str) -> None:
    assert line in refused(select(made, *arguments))


def test_a_seed_without_effect_is_refused(made: Path, tmp_path: Path) -> None:
    (tmp_path / "classes.txt").write_text("dog\ncat\n")
    classes = ("--classes", str(tmp_path / "classes.txt"))
    assert "leave --seed out" in refused(select(made, "clip_cov", "--k", "1", *classes, "--seed", "1"))


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("semdedup",),
        ("semdedup", "--k", "1", "--fraction", "0.5"),
        ("semdedup", "--threshold", "1", "--fraction", "0.5"),
        ("--compare",),
        ("wfpp", "metaclip", "--k", "1"),
        ("semdedup", "--k", "1", "--epsilon", "0.1"),
        ("--compare", "--fraction", "0.5", "--seed", "1"),
    ],
)
def test_ambiguous_arguments_are_a_usage_error(made: Path, arguments: tuple[str, ...]) -> None:
    assert select(made, *arguments).exit_code == 2


def test_missing_scores_are_named(tmp_path: Path, made: Path) -> None:
    line = refused(visdiv("select", "semdedup", "--k", "1", source=made / "source", data=tmp_path))
    assert "selection_scores of 'all' is not materialized" in line
    assert "sscd_embeddings is not materialized for any subset" in refused(
        visdiv("select", "k_center", "--k", "1", source=made / "source", data=tmp_path)
    )


def test_a_clean_copy_keeps_the_best_rows_on_request(made: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    shutil.copytree(made / "data", data)
    settings = Settings(source=str(made / "source"), data=str(data))
    by_reason = "SELECT reason, count(*) FROM dropped_rows GROUP BY reason ORDER BY reason"
    before = dict(query(settings, by_reason))
    assert "selection" not in before
    wanted = visdiv(
        "run",
        "--all",
        source=made / "source",
        data=data,
        VISDIV_CLIP_MODEL="",
        VISDIV_KEEP_BY="conformity",
        VISDIV_KEEP_FRACTION="0.5",
    )
    assert wanted.exit_code == 0, wanted.output
    selected = query(settings, "SELECT subset, \"row\" FROM dropped_rows WHERE reason = 'selection'")
    scores = dict(query(settings, 'SELECT (subset, "row"), conformity FROM selection_scores'))
    worst = sorted(scores, key=lambda key: scores[key])[ROWS // 2 :]
    assert set(selected) == {tuple(key.values()) if isinstance(key, dict) else tuple(key) for key in worst}
    assert query(settings, "SELECT count(*) FROM dropped_rows")[0][0] >= ROWS // 2


def test_a_clean_copy_keeps_the_rows_that_select_wrote(made: Path, tmp_path: Path) -> None:
    data, out = tmp_path / "data", tmp_path / "kept.parquet"
    shutil.copytree(made / "data", data)
    assert select(made, "k_center", "--k", "5", "--out", str(out)).exit_code == 0
    settings = Settings(source=str(made / "source"), data=str(data), keep_rows=str(out), clip_model="")
    ran = visdiv("run", "--all", source=made / "source", data=data, VISDIV_CLIP_MODEL="", VISDIV_KEEP_ROWS=str(out))
    assert ran.exit_code == 0, ran.output
    chosen = pq.read_table(out)
    stay = set(zip(chosen["subset"].to_pylist(), chosen["row"].to_pylist(), strict=True))
    every = {(subset, row) for subset, seeds in SUBSETS.items() for row in range(len(seeds))}
    dropped = set(query(settings, 'SELECT subset, "row" FROM dropped_rows'))
    assert dropped >= every - stay
    assert set(query(settings, "SELECT subset, \"row\" FROM dropped_rows WHERE reason = 'selection'")) == every - stay


def test_added_files_do_not_change_which_images_are_chosen(made: Path, tmp_path: Path) -> None:
    data, source, out = tmp_path / "data", tmp_path / "source", tmp_path / "kept.parquet"
    shutil.copytree(made / "data", data)
    shutil.copytree(made / "source", source)
    assert select(made, "k_center", "--k", "5", "--out", str(out)).exit_code == 0
    shard = source / "subsets" / "birds" / "train-00000.parquet"
    shard.rename(shard.with_name("train-00001.parquet"))
    write_shard(source, "birds", [Row([image(50)]), Row([image(51)])])
    ran = visdiv("run", "--all", source=source, data=data, VISDIV_CLIP_MODEL="", VISDIV_KEEP_ROWS=str(out))
    assert ran.exit_code == 0, ran.output
    settings = Settings(source=str(source), data=str(data))
    left = query(
        settings,
        "SELECT image_id FROM images ANTI JOIN (SELECT subset, \"row\" FROM dropped_rows WHERE reason = 'selection') "
        'USING (subset, "row")',
    )
    assert {image_id for (image_id,) in left} == {ids[0] for ids in pq.read_table(out)["image_ids"].to_pylist()}
