"""A disk that is full: one line, what was there before is whole, nothing half-written, and the run goes on later.

The disk is a small tmpfs in a mount namespace of its own. Where the system does not allow that, files are limited in
size instead, which refuses writes all the same.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from visdiv_assets.settings import Settings
from visdiv_assets_tests.conftest import CHECKOUT, one_each, write_shard

MOUNT = 'mount -t tmpfs -o size="$1" none "$2" && shift 2 && exec "$@"'


@cache
def mounts() -> bool:
    """Whether a disk can be made without privileges."""
    tool = shutil.which("unshare")
    if tool is None:
        return False
    tried = subprocess.run([tool, "-Urm", "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True, check=False)
    return tried.returncode == 0


def on_a_small_disk(folder: Path, size: str, *command: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a command to which a folder is a disk of its own, of a size, as far as the system allows."""
    folder.mkdir()
    disk = ["unshare", "-Urm", "sh", "-c", MOUNT, "sh", size, str(folder)] if mounts() else []
    return subprocess.run(
        [*disk, *command],
        cwd=CHECKOUT,
        env={**os.environ, "VISDIV_CLIP_MODEL": "", **variables},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


SCRIPT = """
import json, os, resource, sys
from pathlib import Path
import dagster as dg
from visdiv_assets.errors import VisdivError
from visdiv_assets.settings import Settings
from visdiv_assets.storage.lake import Lake
from visdiv_assets.publishing.warehouse.publish import publish
from visdiv_assets_tests.conftest import Pipeline, one_each, other_model, write_shard
from visdiv_assets_tests.reliability.processes import contents, tables, temporary_files

settings = Settings.model_validate_json(sys.argv[1])
on_a_disk = sys.argv[2] == "disk"
filler = Path(settings.data).parent / "filler"
lake = Lake(settings.lake_root)

def fill(left):
    if on_a_disk:
        free()
        space = os.statvfs(filler.parent)
        filler.write_bytes(bytes(max(0, space.f_bavail * space.f_frsize - left)))
    else:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))

def free():
    filler.unlink(missing_ok=True)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))

def state():
    return repr((sorted(contents(settings).items()), tables(settings.warehouse_path)))

STAGES = ("subset_images", "sscd_embeddings")

def run(settings):
    return Pipeline(settings, instance).run("some", only=STAGES, sscd=other_model("color"))

with dg.DagsterInstance.ephemeral() as instance:
    assert run(settings).success
    publish(lake, settings.warehouse_path)
    before = state()
    for number in (1, 2, 3):
        write_shard(settings.source, "some", one_each(range(4 * number, 4 * number + 4)), number)
    told = {}
    fill(30_000)
    told["failures"] = run(settings).failures
    told["as before"] = state() == before
    told["left over"] = temporary_files(settings.data)
    fill(4096)
    try:
        publish(lake, settings.warehouse_path)
    except VisdivError as error:
        told["publish"] = str(error)
    told["as before after publishing"] = state() == before
    told["left over after publishing"] = temporary_files(settings.data)
    free()
    again = run(settings)
    assert again.success, again.failures
    publish(lake, settings.warehouse_path)
    told["units reused"] = again.metadata("subset_images")["units_reused"]
    told["images"] = Pipeline(settings, instance).query("SELECT count(*) FROM images")[0][0]
    elsewhere = settings.model_copy(update={"data": sys.argv[3]})
    assert run(elsewhere).success
    told["as on an empty disk"] = contents(settings) == contents(elsewhere)
print(json.dumps(told))
"""


def test_a_run_on_a_full_disk_is_refused_in_one_line_and_goes_on_where_it_was_once_there_is_space(
    tmp_path: Path,
) -> None:
    small = tmp_path / "small"
    write_shard(tmp_path / "source", "some", one_each(range(4)))
    settings = Settings(
        source=str(tmp_path / "source"),
        data=str(small / "data"),
        device="cpu",
        copies_by="similarity",
        clip_model="",
        disk_reserve_gigabytes=0,
    )
    arguments = (settings.model_dump_json(), "disk" if mounts() else "limit", str(tmp_path / "elsewhere"))
    done = on_a_small_disk(small, "16m", sys.executable, "-c", SCRIPT, *arguments)
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    reason = "No space left on device" if mounts() else "File too large"
    (failure,) = told["failures"].values()
    assert failure.startswith(f"cannot write {small}/data/lake/subset_images/some/")
    assert f": {reason}; what was there before is intact: free some space" in failure
    assert told["publish"].startswith(f"cannot write {small}/data/visdiv.duckdb: ")
    assert "\n" not in failure + told["publish"]
    assert told["as before"]
    assert told["as before after publishing"]
    assert told["left over"] == told["left over after publishing"] == []
    # The first file was there before. On the disk there was room for some of the other three.
    assert told["units reused"] in ((2, 3) if mounts() else (1,))
    assert told["images"] == 16
    assert told["as on an empty disk"]


@pytest.mark.nightly
@pytest.mark.parametrize("size", ["300k", "600k", "900k", "1500k"])
def test_a_disk_that_holds_dagsters_state_too_is_one_line(tmp_path: Path, size: str) -> None:
    if not mounts():
        pytest.skip("needs a disk of its own")
    small = tmp_path / "small"
    write_shard(tmp_path / "source", "some", one_each(range(4)))
    variables = {"VISDIV_SOURCE": str(tmp_path / "source"), "VISDIV_DATA": str(small / "data"), "VISDIV_DEVICE": "cpu"}
    command = (sys.executable, "-m", "visdiv_assets.cli.main", "run", "some")
    done = on_a_small_disk(small, size, *command, VISDIV_DISK_RESERVE_GIGABYTES="0", **variables)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1].startswith("visdiv: ")
