"""Dagster and the launchers accept the dagster.yaml files for runs on other machines."""

from __future__ import annotations

import inspect
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from dagster._config import process_config, resolve_to_config_type
from dagster._core.instance.ref import InstanceRef
from dagster._core.launcher import RunLauncher

from visdiv_assets.settings import Settings, variable
from visdiv_assets_tests.conftest import CHECKOUT

DATABASE = {f"DAGSTER_PG_{name}": "5432" for name in ("USERNAME", "PASSWORD", "HOST", "PORT", "DB")}


def launcher(folder: str, home: Path) -> tuple[Any, dict[str, Any]]:
    """Return the class of the launcher that a file of docs/ names, and its settings with all variables replaced."""
    shutil.copy(CHECKOUT / "docs" / folder / "dagster.yaml", home)
    # Dagster validates the whole file here.
    found = InstanceRef.from_dir(str(home)).run_launcher_data
    assert found is not None
    module = pytest.importorskip(found.module_name)
    of_class = getattr(module, found.class_name)
    checked = process_config(resolve_to_config_type(of_class.config_type()), found.config_dict)
    assert checked.success, checked.errors
    assert checked.value is not None
    return of_class, dict(checked.value)


@pytest.fixture(autouse=True)
def _variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in DATABASE.items():
        monkeypatch.setenv(name, value)


def test_runs_as_jobs_of_a_ray_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_JOBS_ADDRESS", "http://127.0.0.1:8265")
    of_class, checked = launcher("ray", tmp_path)
    made = of_class.from_config_value(None, checked)
    assert isinstance(made, RunLauncher)
    assert (made.address, made.num_cpus, made.num_gpus) == ("http://127.0.0.1:8265", 4, 1)  # type: ignore[attr-defined]
    settings = {name for name in checked["ray"]["env_vars"] if name not in DATABASE}
    assert settings <= {variable(name) for name in Settings.model_fields}
    assert DATABASE.keys() <= set(checked["ray"]["env_vars"])


def test_runs_as_kubernetes_jobs_with_a_gpu_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAGSTER_K8S_NAMESPACE", "visdiv")
    monkeypatch.setenv("DAGSTER_K8S_IMAGE", "registry.example/visdiv:1")
    of_class, checked = launcher("kubernetes", tmp_path)
    # Made, it would look for the cluster that it runs in; the names must be those that it takes.
    inspect.signature(of_class.__init__).bind(None, **checked)
    assert (checked["job_namespace"], checked["job_image"]) == ("visdiv", "registry.example/visdiv:1")
    resources = checked["run_k8s_config"]["container_config"]["resources"]
    assert resources["limits"]["nvidia.com/gpu"] == "1"
    # What the pod is made from, by Kubernetes' own client.
    models = pytest.importorskip("dagster_k8s.models")
    client = pytest.importorskip("kubernetes.client")
    pod = models.k8s_model_from_dict(client.V1Container, {"name": "run", "resources": resources})
    assert pod.resources.limits["nvidia.com/gpu"] == "1"


@pytest.mark.parametrize("folder", ["ray", "kubernetes"])
def test_all_but_the_launcher_is_as_with_postgresql(folder: str) -> None:
    ours, postgres = (
        yaml.safe_load((CHECKOUT / "docs" / name / "dagster.yaml").read_text()) for name in (folder, "postgres")
    )
    assert ours.pop("run_launcher")
    assert ours == postgres
