"""What Dagster loads: complete and light. Contracts of import-linter in pyproject.toml check what rooms import."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from dagster._config import Shape

import visdiv_assets
from visdiv_assets import definitions
from visdiv_assets.errors import VisdivError
from visdiv_assets.orchestration import automation
from visdiv_assets.orchestration.code_location import build_definitions
from visdiv_assets.orchestration.partitions import (
    PARTITIONS,
    add_missing_keys,
    benchmark_partitions,
    missing_keys,
    subset_partitions,
)
from visdiv_assets.orchestration.resources import (
    RESOURCES,
    DecoderResource,
    SourceResource,
    SscdResource,
    build_resources,
)
from visdiv_assets.settings import Settings
from visdiv_assets.sources import Kind
from visdiv_assets.sources import open as open_source
from visdiv_assets_tests.conftest import CHECKOUT, SAMPLE, one_each, write_shard

PACKAGE = Path(visdiv_assets.__file__).parent

#: Libraries that are slow to import: modules import them inside functions.
HEAVY = ("torch", "transformers", "datasets", "faiss", "onnxruntime")
#: Libraries that are not imported by loading the definitions, since every run and every process of Dagster loads them.
LEFT_OUT = (*HEAVY, "PIL", "scipy", "duckdb", "matplotlib", "sklearn", "umap", "numba")
#: Seconds of CPU time in which the definitions load. They took 1.5 on one core of 2026.
MAX_LOADING_SECONDS = 6.0

#: External assets, which no job materializes.
OBSERVED = {dg.AssetKey("subset_files"), dg.AssetKey("benchmark_files")}


def specs() -> list[dg.AssetSpec]:
    found = build_definitions(Settings()).resolve_all_asset_specs()
    return sorted(found, key=lambda spec: spec.key)


def parsed() -> Iterator[tuple[str, ast.Module]]:
    """Yield every module of the package with its path."""
    for path in sorted(PACKAGE.rglob("*.py")):
        yield path.relative_to(PACKAGE).as_posix(), ast.parse(path.read_text(encoding="utf-8"))


def test_the_definitions_are_loadable() -> None:
    loaded = definitions.defs()
    dg.Definitions.validate_loadable(loaded)
    assert len(list(loaded.resolve_all_asset_specs())) >= 10


def test_a_misspelled_setting_stops_the_loading(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VISDIV_SORCE", "data/sample")
    with pytest.raises(VisdivError, match=r"VISDIV_SORCE is not a setting: did you mean VISDIV_SOURCE\?"):
        build_definitions()


def test_the_definitions_load_fast_and_import_little() -> None:
    script = (
        "import json, sys, time, visdiv_assets.definitions as d; d.defs().get_repository_def().get_all_jobs();"
        f"print(json.dumps([sorted(set({LEFT_OUT!r}) & set(sys.modules)), time.process_time()]))"
    )
    ran = subprocess.run([sys.executable, "-c", script], cwd=CHECKOUT, capture_output=True, text=True, check=True)
    imported, seconds = json.loads(ran.stdout)
    assert imported == []
    assert seconds < MAX_LOADING_SECONDS


def test_loading_the_definitions_opens_no_source() -> None:
    loaded = build_definitions(Settings(source="/no/such/folder"))
    dg.Definitions.validate_loadable(loaded)


@pytest.mark.parametrize("spec", specs(), ids=lambda spec: spec.key.to_user_string())
def test_an_asset_is_described(spec: dg.AssetSpec) -> None:
    assert spec.description
    first_line = spec.description.strip().splitlines()[0]
    assert first_line.endswith(".")
    assert spec.group_name not in (None, "default")
    if spec.key not in OBSERVED:
        assert spec.kinds
        assert spec.code_version


def test_every_check_is_described() -> None:
    assets = build_definitions(Settings()).assets or []
    checks = [check for asset in assets if isinstance(asset, dg.AssetsDefinition) for check in asset.check_specs]
    assert len(checks) >= 10
    assert [check.name for check in checks if not (check.description or "").endswith(".")] == []


def test_assets_have_the_partitions_of_their_kind() -> None:
    partitions = {spec.key.to_user_string(): spec.partitions_def for spec in specs()}
    for asset in ("subset_images", "quality_rows", "sscd_embeddings", "sscd_index", "near_duplicates", "contamination"):
        assert partitions[asset] == subset_partitions
    for asset in ("benchmark_images", "benchmark_embeddings"):
        assert partitions[asset] == benchmark_partitions
    for asset in ("cross_subset_duplicates", "duplicate_clusters", "curated_rows", "warehouse"):
        assert partitions[asset] is None


def test_every_asset_is_in_exactly_one_job() -> None:
    loaded = build_definitions(Settings())
    found: dict[dg.AssetKey, list[str]] = {spec.key: [] for spec in specs()}
    for name, partitions in (
        (automation.BENCHMARK_JOB, benchmark_partitions),
        (automation.SUBSET_JOB, subset_partitions),
        (automation.CALIBRATION_JOB, subset_partitions),
        (automation.MAPS_JOB, subset_partitions),
        (automation.OCR_JOB, subset_partitions),
        (automation.BENCHMARK_OCR_JOB, benchmark_partitions),
        (automation.JUDGE_JOB, subset_partitions),
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


def test_resources_have_the_defaults_of_the_settings() -> None:
    configured = build_resources(Settings(threads=3, sscd_model="sscd_disc_mixup", drop="quality"))
    assert configured.keys() == RESOURCES.keys()
    for name, resource in RESOURCES.items():
        for field, setting in resource.setting_names().items():
            described = resource.model_fields[field]
            assert described.description
            if setting in Settings.model_fields:
                assert described.default == Settings.model_fields[setting].default
                assert described.description == Settings.model_fields[setting].description
        # The content of the table meta is made from all settings.
        assert resource.model_fields.keys() - {"publication"} == resource.setting_names().keys(), name
    assert configured["sscd"] == SscdResource(
        model="sscd_disc_mixup", weights_folder=Settings().weights_folder, device="auto"
    )
    assert configured["cleaning"].model_dump()["drop"] == ["quality"]


def test_the_launchpad_shows_the_descriptions_of_settings() -> None:
    schema = DecoderResource.to_config_schema().as_field().config_type
    assert isinstance(schema, Shape)
    for name in ("threads", "max_pixels", "max_image_bytes"):
        assert schema.fields[name].description == Settings.model_fields[name].description
        assert schema.fields[name].default_value == Settings.model_fields[name].default


def test_resources_can_be_replaced() -> None:
    source = SourceResource(uri="/elsewhere")
    loaded = build_definitions(Settings(), source=source)
    assert (loaded.resources or {})["source"] is source


# Partitions and their sensor -----------------------------------------------------------------------------------------


def evaluate(instance: dg.DagsterInstance, source: str) -> dg.SensorResult | dg.SkipReason:
    with dg.build_sensor_context(instance=instance, resources={"source": SourceResource(uri=source)}) as context:
        found = automation.partitions_sensor(context)
    assert isinstance(found, dg.SensorResult | dg.SkipReason)
    return found


def requested(found: dg.SensorResult | dg.SkipReason) -> dict[str, list[str]]:
    """Return the keys that a sensor requests by partition set."""
    assert isinstance(found, dg.SensorResult)
    return {
        request.partitions_def_name: list(request.partition_keys) for request in found.dynamic_partitions_requests or []
    }


def test_the_sensor_lists_a_remote_source_only_once(instance: dg.DagsterInstance) -> None:
    instance.add_dynamic_partitions("subset", ["one"])
    found = evaluate(instance, "hf://datasets/no-such-owner/no-such-dataset")
    assert isinstance(found, dg.SkipReason)
    assert found.skip_message == "observe_subsets checks a remote source"


def test_the_sensor_runs_by_default() -> None:
    sensor = build_definitions(Settings()).resolve_sensor_def("partitions_sensor")
    assert sensor.default_status == dg.DefaultSensorStatus.RUNNING
    assert sensor.description


def test_the_sensor_adds_new_names_of_the_source(instance: dg.DagsterInstance, settings: Settings) -> None:
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
    assert found.skip_message == "the source has no new subsets or benchmarks"


def test_the_sensor_skips_a_missing_source_with_the_reason(instance: dg.DagsterInstance) -> None:
    found = evaluate(instance, "/no/such/folder")
    assert isinstance(found, dg.SkipReason)
    assert "there is no folder '/no/such/folder'" in (found.skip_message or "")


def test_keys_come_largest_first_and_are_never_removed(instance: dg.DagsterInstance, settings: Settings) -> None:
    write_shard(settings.source, "light", one_each([0]))
    write_shard(settings.source, "heavy", one_each(range(6)))
    instance.add_dynamic_partitions("subset", ["gone"])
    source = open_source(settings.source)
    add_missing_keys(instance, source)
    assert list(instance.get_dynamic_partitions("subset")) == ["gone", "heavy", "light"]
    assert missing_keys(instance, source) == {kind: [] for kind in PARTITIONS}


# Layers --------------------------------------------------------------------------------------------------------------


def imports(module: ast.Module) -> set[str]:
    """Return the top-level packages that a module imports anywhere."""
    found = set()
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found.add((node.module or "").partition(".")[0])
    return found


def at_import_time(module: ast.Module) -> ast.Module:
    """Remove the bodies of functions and of `if TYPE_CHECKING` from a module."""

    class Pruned(ast.NodeTransformer):
        def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
            return None

        def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
            return None

        def visit_If(self, node: ast.If) -> ast.AST | None:
            return None if isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING" else node

    pruned = Pruned().visit(module)
    assert isinstance(pruned, ast.Module)
    return pruned


def test_heavy_libraries_are_imported_inside_functions_only() -> None:
    offending = {path: found for path, module in parsed() if (found := imports(at_import_time(module)) & set(HEAVY))}
    assert offending == {}


def test_the_environment_is_read_in_settings_only() -> None:
    """The exceptions set variables for the program that they start, Dagster or Ray, or ask what the terminal can do."""
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
        "orchestration/runs.py": {"'DAGSTER_HOME' in os.environ", "os.environ['DAGSTER_HOME']"},
        "cli/ui.py": {"os.environ.update"},
        "orchestration/engines/ray.py": {"os.environ.setdefault"},
        "progress.py": {"os.environ.get"},
    }


def test_every_package_says_what_belongs_in_it() -> None:
    packages = [(path, module) for path, module in parsed() if path.endswith("__init__.py")]
    assert len(packages) >= 8
    assert [path for path, module in packages if not ast.get_docstring(module)] == []
