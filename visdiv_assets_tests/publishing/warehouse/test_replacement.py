"""How a published DuckDB file replaces an older one, under readers and after failures."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from visdiv_assets.errors import VisdivError
from visdiv_assets.publishing.warehouse.publish import publish
from visdiv_assets.storage.integrity import DamagedFileError
from visdiv_assets.storage.lake import Lake
from visdiv_assets_tests.publishing.warehouse.lakes import Contents, D
from visdiv_assets_tests.publishing.warehouse.published_files import CONTRACT, publications, query
from visdiv_assets_tests.storage.helpers import REPOSITORY, files_below, flip, run_python


def leave_changes(path: Path) -> None:
    """Change a published file as a client that dies before its changes are in the file."""
    code = (
        "import duckdb, os, sys; c = duckdb.connect(sys.argv[1]); c.execute('PRAGMA disable_checkpoint_on_shutdown'); "
        "c.execute('DELETE FROM images'); os._exit(0)"
    )
    subprocess.run([sys.executable, "-c", code, str(path)], check=True)


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
from visdiv_assets_tests.publishing.warehouse.lakes import Contents, NEIGHBORS, image_id
from visdiv_assets_tests.publishing.warehouse.published_files import publications

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
