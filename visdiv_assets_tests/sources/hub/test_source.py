"""Tests of datasets on the Hub, against a local server and a folder source of the same files."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from time import monotonic, sleep

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from visdiv_assets.curation.export import export
from visdiv_assets.errors import VisdivError
from visdiv_assets.sources import (
    COLUMNS,
    SCHEMA,
    Benchmark,
    Downloads,
    HubSource,
    Kind,
    ParquetFolderSource,
    finevision_categories,
)
from visdiv_assets.sources.catalog import benchmarks_on
from visdiv_assets.sources.versions import version_of
from visdiv_assets_tests.curation.exports import decide
from visdiv_assets_tests.sources.conftest import plain_rows
from visdiv_assets_tests.testing.hub_server import HubServer, folder_files, serving

DATASET = "HuggingFaceM4/FineVision"
URI = f"hf://datasets/{DATASET}"
SUBSETS = ["clipart_nature", "clipart_people", "clipart_things"]
FIRST = "clipart_nature/train-00000-of-00002.parquet"


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")


@pytest.fixture
def server() -> Iterator[HubServer]:
    with serving() as server:
        yield server


@pytest.fixture(scope="session")
def sample_files(sample: Path) -> dict[str, bytes]:
    """The sample as the files of FineVision's repository."""
    return {"README.md": b"# FineVision", ".gitattributes": b"x", **folder_files(sample / "subsets")}


@pytest.fixture
def hub(server: HubServer, sample_files: dict[str, bytes]) -> HubServer:
    """A Hub that has the sample under FineVision's name."""
    server.add(DATASET, dict(sample_files))
    return server


def opened(
    server: HubServer,
    folder: Path,
    uri: str = URI,
    *,
    max_bytes: int = 10**9,
    benchmarks: list[Benchmark] | None = None,
) -> HubSource:
    return HubSource(
        uri, downloads=Downloads(folder, max_bytes, 2), benchmarks=benchmarks or [], client=server.client()
    )


def parquet(rows: int, start: int = 0) -> bytes:
    """A file of plain rows."""
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(plain_rows(rows, start), SCHEMA), sink)
    content: bytes = sink.getvalue().to_pybytes()
    return content


def benchmark(
    name: str, *, hub_id: str = "some/bench", alias: str | None = None, config: str | None = None, split: str = "test"
) -> Benchmark:
    return Benchmark(name, "mine", hub_id, alias, config, split, None, None, None, None)


def until(condition: object, *, seconds: float = 10) -> None:
    """Wait until another thread makes the condition true."""
    assert callable(condition)
    end = monotonic() + seconds
    while not condition():
        assert monotonic() < end, "it did not happen"
        sleep(0.005)


# Reading ------------------------------------------------------------------------------------------------------------


def test_all_of_finevisions_subsets_are_listed_from_pages(server: HubServer, tmp_path: Path) -> None:
    names = sorted(finevision_categories())
    files = {f"{name}/train-00000-of-00001.parquet": b"x" for name in names}
    server.add(DATASET, {"README.md": b"x", "assets/figure.png": b"x", **files})
    server.page_length = 100
    source = opened(server, tmp_path)
    assert server.requests.total() == 0
    assert source.subsets() == names
    assert len(names) == 185
    assert source.size_bytes(Kind.SUBSET, "geoqa+(mathv360k)") == 1
    assert server.asked("/tree/") == 4
    assert server.requests.total() == 5


def test_everything_is_as_the_folder_source_gives_it(hub: HubServer, sample: Path, tmp_path: Path) -> None:
    local, remote = ParquetFolderSource(sample / "subsets"), opened(hub, tmp_path)
    assert remote.uri == URI
    assert remote.subsets() == local.subsets() == SUBSETS
    for name in SUBSETS:
        assert remote.size_bytes(Kind.SUBSET, name) == local.size_bytes(Kind.SUBSET, name)
        pairs = zip(remote.digests(Kind.SUBSET, name, {}), local.digests(Kind.SUBSET, name, {}), strict=True)
        for (ours, our_digest), (theirs, their_digest) in pairs:
            assert (ours.name, ours.rows, ours.size_bytes) == (theirs.name, theirs.rows, theirs.size_bytes)
            assert our_digest == their_digest
            batches = [
                list(source.batches(Kind.SUBSET, name, shard, columns=COLUMNS, batch_rows=50))
                for source, shard in ((remote, ours), (local, theirs))
            ]
            assert batches[0] == batches[1]
            stored = [source.stored(Kind.SUBSET, name, shard) for source, shard in ((remote, ours), (local, theirs))]
            assert stored[0].schema.equals(stored[1].schema, check_metadata=True)
            assert stored[0].compression == stored[1].compression
            assert list(stored[0].batches) == list(stored[1].batches)
        assert version_of(remote, Kind.SUBSET, name).revision == version_of(local, Kind.SUBSET, name).revision


def test_single_images_are_those_of_the_folder_source(hub: HubServer, sample: Path, tmp_path: Path) -> None:
    local, remote = ParquetFolderSource(sample / "subsets"), opened(hub, tmp_path)
    listed = [
        (row, index)
        for row, images in enumerate(pq.read_table(sample / "subsets" / SUBSETS[0], columns=["images"])["images"])
        for index in range(len(images))
    ]
    positions = random.Random(5).choices(listed, k=40)
    expected = local.fetch(Kind.SUBSET, SUBSETS[0], positions)
    assert remote.fetch(Kind.SUBSET, SUBSETS[0], positions) == expected
    assert not (tmp_path / "files").exists(), "they were read over the network"
    for shard in remote.shards(Kind.SUBSET, SUBSETS[0]):
        list(remote.batches(Kind.SUBSET, SUBSETS[0], shard, columns=["source"]))
    before = hub.requests.total()
    assert remote.fetch(Kind.SUBSET, SUBSETS[0], positions) == expected
    assert hub.requests.total() == before, "the files are there now"
    for position, problem in (((10_000, 0), "has no row 10000"), ((0, 99), "has no image 99")):
        with pytest.raises(VisdivError, match=problem):
            remote.fetch(Kind.SUBSET, SUBSETS[0], [position])


def test_single_images_never_cost_more_than_the_file(server: HubServer, tmp_path: Path) -> None:
    noise = random.Random(1)
    rows = [{"images": [{"bytes": noise.randbytes(100_000), "path": None}], "texts": []} for _ in range(60)]
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(rows, SCHEMA), sink, row_group_size=5)
    server.add(DATASET, {"some/train-00000.parquet": sink.getvalue().to_pybytes()})
    source = opened(server, tmp_path)
    assert source.fetch(Kind.SUBSET, "some", [(33, 0)]) == [rows[33]["images"][0]["bytes"]]
    assert 100_000 < server.sent < 1_000_000
    for _ in range(3):
        for row in range(60):
            assert source.fetch(Kind.SUBSET, "some", [(row, 0)]) == [rows[row]["images"][0]["bytes"]]
    assert server.sent < 3 * sum(file.size_bytes for file in source.shards(Kind.SUBSET, "some"))


def test_a_file_outside_lfs_is_hashed_here(server: HubServer, tmp_path: Path, sample: Path) -> None:
    local = ParquetFolderSource(sample / "subsets")
    repository = server.add(DATASET, folder_files(sample / "subsets"))
    repository.not_in_lfs = {FIRST}
    source = opened(server, tmp_path)
    expected = [digest for _, digest in local.digests(Kind.SUBSET, SUBSETS[0], {})]
    assert [digest for _, digest in source.digests(Kind.SUBSET, SUBSETS[0], {})] == expected
    assert [path.name[:4] for path in (tmp_path / "files").iterdir()] == ["git-"]


def test_unknown_names_are_refused_with_a_hint(hub: HubServer, tmp_path: Path) -> None:
    source = opened(hub, tmp_path)
    with pytest.raises(VisdivError, match="has no 'clipart_natur' among its subsets: did you mean 'clipart_nature'"):
        source.shards(Kind.SUBSET, "clipart_natur")
    with pytest.raises(VisdivError, match="has no 'x' among its benchmarks"):
        source.size_bytes(Kind.BENCHMARK, "x")


def test_a_dataset_without_parquet_files_is_refused(server: HubServer, tmp_path: Path) -> None:
    server.add(DATASET, {"README.md": b"x"})
    with pytest.raises(VisdivError, match=rf"{URI} holds no \.parquet file"):
        opened(server, tmp_path).subsets()


def test_a_file_that_is_no_parquet_is_named_as_the_user_knows_it(server: HubServer, tmp_path: Path) -> None:
    server.add(DATASET, {"some/train-00000.parquet": b"no Parquet at all" * 9})
    with pytest.raises(VisdivError, match=rf"^{URI}/some/train-00000\.parquet is not a readable Parquet file"):
        opened(server, tmp_path).shards(Kind.SUBSET, "some")


@pytest.mark.parametrize(
    "uri", ["hf://models/a/b", "hf://datasets/", "hf://datasets/a/b/c", "hf://datasets/a b", "hf://datasets/a/b@"]
)
def test_an_address_that_names_no_dataset_is_refused(uri: str) -> None:
    with pytest.raises(VisdivError, match="names no dataset: write hf://datasets/<owner>/<name>"):
        HubSource(uri)


# Revisions ----------------------------------------------------------------------------------------------------------


def test_a_source_stays_at_the_commit_that_it_saw_first(hub: HubServer, tmp_path: Path) -> None:
    source = opened(hub, tmp_path)
    before = source.shards(Kind.SUBSET, SUBSETS[0])
    hub.repositories[DATASET].push({FIRST: parquet(7)})
    assert source.shards(Kind.SUBSET, SUBSETS[0]) == before
    rows = sum(batch.num_rows for batch in source.batches(Kind.SUBSET, SUBSETS[0], before[0], columns=["source"]))
    assert rows == before[0].rows
    later = opened(hub, tmp_path)
    assert later.shards(Kind.SUBSET, SUBSETS[0])[0].rows == 7
    with pytest.raises(VisdivError, match="has changed since it was listed"):
        list(later.batches(Kind.SUBSET, SUBSETS[0], before[0], columns=["source"]))
    assert hub.requests[f"/api/datasets/{DATASET}"] == 2


def test_a_version_follows_the_files_and_not_the_commit(hub: HubServer, tmp_path: Path) -> None:
    def observed() -> list[str]:
        source = opened(hub, tmp_path)
        return [source.observed_version(Kind.SUBSET, name) for name in SUBSETS]

    first = observed()
    fingerprints = [shard.fingerprint for shard in opened(hub, tmp_path).shards(Kind.SUBSET, SUBSETS[0])]
    sent = hub.sent
    hub.repositories[DATASET].push({"README.md": b"a typo less"})
    assert observed() == first
    assert [shard.fingerprint for shard in opened(hub, tmp_path).shards(Kind.SUBSET, SUBSETS[0])] == fingerprints
    assert hub.sent == sent, "the footers are remembered by content"
    hub.repositories[DATASET].push({FIRST: parquet(7)})
    assert [old == new for old, new in zip(first, observed(), strict=True)] == [False, True, True]
    assert hub.sent == sent, "no file is opened"


def test_a_branch_a_tag_or_a_commit_can_be_named(hub: HubServer, tmp_path: Path) -> None:
    repository = hub.repositories[DATASET]
    commit = repository.commit("main")
    repository.push({"added/train-00000.parquet": parquet(3)})
    repository.revisions["refs/pr/1"] = {"other/train-00000.parquet": parquet(1)}
    assert opened(hub, tmp_path).subsets() == ["added", *SUBSETS]
    assert opened(hub, tmp_path, f"{URI}@{commit}").subsets() == SUBSETS
    assert opened(hub, tmp_path, f"{URI}@refs/pr/1").subsets() == ["other"]


# Downloads ----------------------------------------------------------------------------------------------------------


def test_listing_shards_reads_footers_only_and_once(hub: HubServer, tmp_path: Path) -> None:
    source = opened(hub, tmp_path)
    assert all(digest for _, digest in source.digests(Kind.SUBSET, SUBSETS[0], {}))
    assert hub.sent < 0.2 * source.size_bytes(Kind.SUBSET, SUBSETS[0])
    asked = hub.requests.total()
    source.shards(Kind.SUBSET, SUBSETS[0])
    assert hub.requests.total() == asked
    opened(hub, tmp_path).shards(Kind.SUBSET, SUBSETS[0])
    assert hub.asked("/storage/") == 2


def test_the_next_file_is_fetched_while_one_is_read(hub: HubServer, tmp_path: Path) -> None:
    source = opened(hub, tmp_path)
    first, second = source.shards(Kind.SUBSET, SUBSETS[0])
    batches = source.batches(Kind.SUBSET, SUBSETS[0], first, columns=["source"], batch_rows=1)
    next(batches)
    until(lambda: len([path for path in (tmp_path / "files").iterdir() if path.suffix != ".part"]) == 2)
    asked = hub.requests.total()
    assert sum(batch.num_rows for batch in batches) == first.rows - 1
    rows = sum(batch.num_rows for batch in source.batches(Kind.SUBSET, SUBSETS[0], second, columns=["source"]))
    assert rows == second.rows
    assert hub.requests.total() == asked


def test_nothing_is_fetched_ahead_that_the_limit_would_not_keep(hub: HubServer, tmp_path: Path) -> None:
    largest = max(len(data) for data in hub.repositories[DATASET].revisions["main"].values())
    source = opened(hub, tmp_path, max_bytes=largest)
    for shard in source.shards(Kind.SUBSET, SUBSETS[0]):
        list(source.batches(Kind.SUBSET, SUBSETS[0], shard, columns=["source"]))
    held = [path.stat().st_size for path in (tmp_path / "files").iterdir()]
    assert 0 < sum(held) <= largest
    whole = [path for path in hub.requests if path.startswith("/storage/")]
    assert [hub.requests[path] for path in whole] == [2, 2], "a footer and a file each"


def test_another_source_finds_what_was_fetched(hub: HubServer, tmp_path: Path) -> None:
    for _ in range(2):
        source = opened(hub, tmp_path)
        for shard in source.shards(Kind.SUBSET, SUBSETS[1]):
            assert sum(b.num_rows for b in source.batches(Kind.SUBSET, SUBSETS[1], shard, columns=["source"]))
    assert hub.asked("/storage/") == 4


def test_address_and_token_come_from_huggingface_hub(hub: HubServer, tmp_path: Path) -> None:
    hub.repositories[DATASET].gated = True
    code = f"from visdiv_assets import sources; print(sources.open({URI!r}).subsets())"
    environment = {**os.environ, "HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path), "no_proxy": "*"}
    environment.pop("HF_HUB_OFFLINE", None)
    answer = subprocess.run(
        [sys.executable, "-c", code],
        env={**environment, "HF_TOKEN": "hf_good"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert answer.stdout.strip() == str(SUBSETS), answer.stderr


# Benchmarks ---------------------------------------------------------------------------------------------------------


def test_benchmarks_are_those_of_the_lists_without_a_request(server: HubServer, tmp_path: Path) -> None:
    source = opened(server, tmp_path, benchmarks=benchmarks_on("finevision66"))
    assert len(source.benchmarks()) == 66
    assert "lmms-lab-DocVQA_InfographicVQA_test" in source.benchmarks()
    assert source.benchmarks() == sorted(source.benchmarks())
    assert server.requests.total() == 0


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({}, "data/test-00000-of-00001.parquet"),
        ({}, "test-00000-of-00001-4f3b.parquet"),
        ({}, "default/test/0000.parquet"),
        ({"config": "Infographic VQA"}, "Infographic VQA/test-00000-of-00001.parquet"),
        ({"config": "mini", "split": "val2014"}, "mini/val2014/0000.parquet"),
    ],
)
def test_a_benchmarks_files_are_those_of_its_config_and_split(
    server: HubServer, tmp_path: Path, fields: dict[str, str], path: str
) -> None:
    others = ["data/testmini-0.parquet", "data/validation-00000-of-00001.parquet", "other/test-00000.parquet"]
    server.add("some/bench", {path: parquet(4), **{other: parquet(1) for other in others}})
    source = opened(server, tmp_path, benchmarks=[benchmark("b", **fields)])
    (shard,) = source.shards(Kind.BENCHMARK, "b")
    assert (shard.name, shard.rows) == (path, 4)
    assert sum(b.num_rows for b in source.batches(Kind.BENCHMARK, "b", shard, columns=["images"])) == 4


def test_a_benchmark_that_moved_is_found_under_its_alias(server: HubServer, tmp_path: Path) -> None:
    server.add("new/bench", {"data/test-00000-of-00001.parquet": parquet(2)})
    source = opened(server, tmp_path, benchmarks=[benchmark("b", alias="new/bench"), benchmark("c", alias="x/y")])
    assert [shard.rows for shard in source.shards(Kind.BENCHMARK, "b")] == [2]
    with pytest.raises(VisdivError, match=r"'c': neither hf://datasets/some/bench nor its alias hf://datasets/x/y"):
        source.shards(Kind.BENCHMARK, "c")


def test_the_hubs_own_conversion_stands_in_for_other_formats(server: HubServer, tmp_path: Path) -> None:
    repository = server.add("some/bench", {"images/test.zip": b"x"})
    repository.revisions["refs/convert/parquet"] = {
        "default/test/0000.parquet": parquet(2),
        "default/test/0001.parquet": parquet(3, 2),
        "default/train/0000.parquet": parquet(1),
    }
    source = opened(server, tmp_path, benchmarks=[benchmark("b"), benchmark("c", split="dev")])
    assert [shard.rows for shard in source.shards(Kind.BENCHMARK, "b")] == [2, 3]
    with pytest.raises(VisdivError, match=r"'c': hf://datasets/some/bench has no \.parquet file of split 'dev'"):
        source.shards(Kind.BENCHMARK, "c")


def test_a_benchmark_in_no_readable_form_is_one_line(server: HubServer, tmp_path: Path) -> None:
    server.add("some/bench", {"images/test.zip": b"x"})
    source = opened(server, tmp_path, benchmarks=[benchmark("b", config="c")])
    with pytest.raises(VisdivError, match=r"split 'test' of config 'c', nor has its branch refs/convert/parquet"):
        source.shards(Kind.BENCHMARK, "b")


def test_the_license_is_that_of_the_commit_that_is_read(hub: HubServer, tmp_path: Path) -> None:
    assert opened(hub, tmp_path / "without").license() is None
    before = hub.repositories[DATASET].commit("main")
    hub.repositories[DATASET].push({"README.md": b"---\nlicense: cc-by-4.0\n---\n# FineVision\n"})
    source = opened(hub, tmp_path / "with")
    assert source.license() == "cc-by-4.0"
    assert opened(hub, tmp_path / "with", f"{URI}@{before}").license() is None
    hub.repositories[DATASET].push({"README.md": None})
    assert opened(hub, tmp_path / "with").license() is None
    assert source.license() == "cc-by-4.0"
    export(source, [decide(source, SUBSETS[0])], tmp_path / "clean")
    assert "The source states `cc-by-4.0`." in (tmp_path / "clean" / "README.md").read_text()
    described = json.loads((tmp_path / "clean" / "croissant.json").read_text())
    assert (described["license"], described["name"]) == ("cc-by-4.0", f"Clean copy of {DATASET}")
