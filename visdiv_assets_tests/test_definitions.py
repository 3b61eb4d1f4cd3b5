"""What Dagster loads: complete, light, and apart from the rooms below it."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

import visdiv_assets
from visdiv_assets import definitions
from visdiv_assets.errors import VisdivError
from visdiv_assets.orchestration import automation
from visdiv_assets.orchestration.partitions import (
    PARTITIONS,
    add_missing_keys,
    benchmark_partitions,
    missing_keys,
    subset_partitions,
)
from visdiv_assets.orchestration.resources import SourceResource
from visdiv_assets.settings import Settings
from visdiv_assets.sources import Kind
from visdiv_assets.sources import open as open_source
from visdiv_assets_tests.conftest import CHECKOUT, SAMPLE, one_each, write_shard

PACKAGE = Path(visdiv_assets.__file__).parent

#: The only modules that may import Dagster (DESIGN.md, Rooms), and runs.py, which is the Dagster part of cli.py.
DAGSTER_LAYER = {
    "definitions.py",
    "resources.py",
    "partitions.py",
    "automation.py",
    "cli.py",
    "runs.py",
    "state.py",
    "upkeep.py",
    "mixing.py",
    "benching.py",
    "rehearsing.py",
}

#: Imported inside the functions that need them (DESIGN.md, Rooms).
HEAVY = ("torch", "transformers", "datasets", "faiss", "onnxruntime")
#: Loading the definitions does not load these either: each run, and each process of Dagster's own, would pay for it.
LEFT_OUT = (*HEAVY, "PIL", "scipy", "duckdb", "matplotlib", "sklearn", "umap", "numba")


#: What is there without us: nothing makes it.
OBSERVED = {dg.AssetKey("subset_files"), dg.AssetKey("benchmark_files")}


def specs() -> list[dg.AssetSpec]:
    found = definitions.build_definitions(Settings()).resolve_all_asset_specs()
    return sorted(found, key=lambda spec: spec.key)


def parsed() -> Iterator[tuple[str, ast.Module]]:
    """Every module of the package by its path in it."""
    for path in sorted(PACKAGE.rglob("*.py")):
        yield path.relative_to(PACKAGE).as_posix(), ast.parse(path.read_text(encoding="utf-8"))


def test_the_definitions_are_loadable() -> None:
    loaded = definitions.defs()
    dg.Definitions.validate_loadable(loaded)
    assert len(list(loaded.resolve_all_asset_specs())) >= 10


def test_a_misspelled_setting_keeps_the_definitions_from_loading(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VISDIV_SORCE", "data/sample")
    with pytest.raises(VisdivError, match=r"VISDIV_SORCE is not a setting: did you mean VISDIV_SOURCE\?"):
        definitions.build_definitions()


def test_loading_the_definitions_imports_no_heavy_library() -> None:
    script = (
        "import json, sys, visdiv_assets.definitions as d; d.defs().get_repository_def().get_all_jobs();"
        f"print(json.dumps(sorted(set({LEFT_OUT!r}) & set(sys.modules))))"
    )
    ran = subprocess.run([sys.executable, "-c", script], cwd=CHECKOUT, capture_output=True, text=True, check=True)
    assert json.loads(ran.stdout) == []


def test_loading_the_definitions_opens_no_source() -> None:
    loaded = definitions.build_definitions(Settings(source="/no/such/folder"))
    dg.Definitions.validate_loadable(loaded)


@pytest.mark.parametrize("spec", specs(), ids=lambda spec: spec.key.to_user_string())
def test_an_asset_says_what_it_is(spec: dg.AssetSpec) -> None:
    assert spec.description
    first_line = spec.description.strip().splitlines()[0]
    assert first_line.endswith(".")
    assert spec.group_name not in (None, "default")
    if spec.key not in OBSERVED:
        assert spec.kinds
        assert spec.code_version


def test_every_check_says_what_it_checks() -> None:
    assets = definitions.build_definitions(Settings()).assets or []
    checks = [check for asset in assets if isinstance(asset, dg.AssetsDefinition) for check in asset.check_specs]
    assert len(checks) >= 10
    assert [check.name for check in checks if not (check.description or "").endswith(".")] == []


def test_assets_of_subsets_share_one_set_of_partitions_and_those_of_benchmarks_another() -> None:
    partitions = {spec.key.to_user_string(): spec.partitions_def for spec in specs()}
    for asset in ("subset_images", "quality_rows", "sscd_embeddings", "sscd_index", "near_duplicates", "contamination"):
        assert partitions[asset] == subset_partitions
    for asset in ("benchmark_images", "benchmark_embeddings"):
        assert partitions[asset] == benchmark_partitions
    for asset in ("cross_subset_duplicates", "duplicate_clusters", "curated_rows", "warehouse"):
        assert partitions[asset] is None


def test_every_asset_is_in_one_job_and_a_job_has_one_set_of_partitions() -> None:
    loaded = definitions.build_definitions(Settings())
    found: dict[dg.AssetKey, list[str]] = {spec.key: [] for spec in specs()}
    for name, partitions in (
        (automation.BENCHMARK_JOB, benchmark_partitions),
        (automation.SUBSET_JOB, subset_partitions),
        (automation.CALIBRATION_JOB, subset_partitions),
        (automation.MAPS_JOB, subset_partitions),
        (automation.CORPUS_JOB, None),
        (automation.OBSERVE_SUBSETS_JOB, subset_partitions),
        (automation.OBSERVE_BENCHMARKS_JOB, benchmark_partitions),
    ):
        job = loaded.resolve_job_def(name)
        assert job.partitions_def == partitions
        assert job.description
        for key in job.asset_layer.executable_asset_keys:
            found[key].append(name)
    assert {key: jobs for key, jobs in found.items() if len(jobs) != 1} == {}
    assert found[dg.AssetKey("warehouse")] == [automation.CORPUS_JOB]


def test_resources_can_be_replaced() -> None:
    source = SourceResource(uri="/elsewhere")
    loaded = definitions.build_definitions(Settings(), source=source)
    assert (loaded.resources or {})["source"] is source


# Partitions and their sensor -----------------------------------------------------------------------------------------


def evaluate(instance: dg.DagsterInstance, source: str) -> dg.SensorResult | dg.SkipReason:
    with dg.build_sensor_context(instance=instance, resources={"source": SourceResource(uri=source)}) as context:
        found = automation.partitions_sensor(context)
    assert isinstance(found, dg.SensorResult | dg.SkipReason)
    return found


def requested(found: dg.SensorResult | dg.SkipReason) -> dict[str, list[str]]:
    """The keys that a sensor asks for, by the partition set's name."""
    assert isinstance(found, dg.SensorResult)
    return {
        request.partitions_def_name: list(request.partition_keys) for request in found.dynamic_partitions_requests or []
    }


def test_the_sensor_asks_a_remote_source_nothing_once_there_are_partitions(instance: dg.DagsterInstance) -> None:
    instance.add_dynamic_partitions("subset", ["one"])
    found = evaluate(instance, "hf://datasets/no-such-owner/no-such-dataset")
    assert isinstance(found, dg.SkipReason)
    assert found.skip_message == "a remote source is looked at by observe_subsets"


def test_the_sensor_is_there_and_runs_by_default() -> None:
    sensor = definitions.build_definitions(Settings()).resolve_sensor_def("partitions_sensor")
    assert sensor.default_status == dg.DefaultSensorStatus.RUNNING
    assert sensor.description


def test_the_sensor_adds_what_is_new_in_the_source(instance: dg.DagsterInstance, settings: Settings) -> None:
    write_shard(settings.source, "light", one_each([0]))
    write_shard(settings.source, "heavy", one_each(range(6)))
    assert requested(evaluate(instance, settings.source)) == {"subset": ["heavy", "light"]}
    instance.add_dynamic_partitions("subset", ["light"])
    write_shard(settings.source, "bench", one_each([0]), kind=Kind.BENCHMARK)
    assert requested(evaluate(instance, settings.source)) == {"subset": ["heavy"], "benchmark": ["bench"]}


def test_the_sensor_skips_when_nothing_is_new(instance: dg.DagsterInstance) -> None:
    add_missing_keys(instance, open_source(SAMPLE))
    found = evaluate(instance, str(SAMPLE))
    assert isinstance(found, dg.SkipReason)
    assert found.skip_message == "nothing new in the source"


def test_the_sensor_skips_with_the_reason_when_the_source_is_missing(instance: dg.DagsterInstance) -> None:
    found = evaluate(instance, "/no/such/folder")
    assert isinstance(found, dg.SkipReason)
    assert "there is no folder '/no/such/folder'" in (found.skip_message or "")


def test_keys_come_heaviest_first_and_are_never_taken_away(instance: dg.DagsterInstance, settings: Settings) -> None:
    write_shard(settings.source, "light", one_each([0]))
    write_shard(settings.source, "heavy", one_each(range(6)))
    instance.add_dynamic_partitions("subset", ["gone"])
    source = open_source(settings.source)
    add_missing_keys(instance, source)
    assert list(instance.get_dynamic_partitions("subset")) == ["gone", "heavy", "light"]
    assert missing_keys(instance, source) == {kind: [] for kind in PARTITIONS}


# Layers --------------------------------------------------------------------------------------------------------------


def imports(module: ast.Module) -> set[str]:
    """Top-level packages that a module imports, wherever in it."""
    found = set()
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found.add((node.module or "").partition(".")[0])
    return found


def at_import_time(module: ast.Module) -> ast.Module:
    """The module without the bodies of functions and of `if TYPE_CHECKING`."""

    class Pruned(ast.NodeTransformer):
        def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
            return None

        visit_AsyncFunctionDef = visit_FunctionDef  # noqa: N815

        def visit_If(self, node: ast.If) -> ast.AST | None:
            return None if isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING" else node

    return Pruned().visit(module)


def test_only_the_dagster_layer_imports_dagster() -> None:
    importing = {path for path, module in parsed() if "dagster" in imports(module)}
    assert {path for path in importing if not path.startswith("assets/")} <= DAGSTER_LAYER
    assert {"definitions.py", "resources.py", "partitions.py", "automation.py", "runs.py"} <= importing
    assert any(path.startswith("assets/") for path in importing)


def test_no_room_imports_the_dagster_layer() -> None:
    layer = {f"visdiv_assets.{name.removesuffix('.py')}" for name in DAGSTER_LAYER} | {
        "visdiv_assets.orchestration.assets"
    }
    offending = []
    for path, module in parsed():
        if path in DAGSTER_LAYER or path.startswith("assets/"):
            continue
        for node in ast.walk(module):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)]
            offending += [
                (path, name)
                for name in names
                if name in layer or name.startswith("visdiv_assets.orchestration.assets.")
            ]
    assert offending == []


def test_heavy_libraries_are_imported_inside_functions_only() -> None:
    offending = {path: found for path, module in parsed() if (found := imports(at_import_time(module)) & set(HEAVY))}
    assert offending == {}


def test_the_environment_is_read_in_settings_alone() -> None:
    """runs.py asks whether DAGSTER_HOME is set, and sets it; cli.py sets paths: both for Dagster, which comes next.

    engines/ray.py sets a switch of Ray's before it imports it.
    """
    names = {"environ", "environb", "getenv", "getenvb", "putenv", "unsetenv"}
    uses: dict[str, set[str]] = {}
    for path, module in parsed():
        for parent in ast.walk(module):
            if isinstance(parent, ast.ImportFrom) and parent.module == "os":
                assert not names & {alias.name for alias in parent.names}, path
            for node in ast.iter_child_nodes(parent):
                if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "os" and node.attr in names:
                    uses.setdefault(path, set()).add(ast.unparse(parent))
    assert uses.pop("settings.py")
    assert uses == {
        "runs.py": {"'DAGSTER_HOME' in os.environ", "os.environ['DAGSTER_HOME']"},
        "cli.py": {"os.environ.update"},
        "engines/ray.py": {"os.environ.setdefault"},
    }


def test_every_package_says_what_belongs_in_it() -> None:
    packages = [(path, module) for path, module in parsed() if path.endswith("__init__.py")]
    assert len(packages) >= 8
    assert [path for path, module in packages if not ast.get_docstring(module)] == []
