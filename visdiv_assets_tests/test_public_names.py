"""The public names of the package: loaded when first used, documented, and with examples that run."""

from __future__ import annotations

import ast
import doctest
import inspect
import subprocess
import sys
import textwrap
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import visdiv_assets
from visdiv_assets import embedding
from visdiv_assets_tests.conftest import ColorEmbedder

NAMES = [name for name in visdiv_assets.__all__ if name != "__version__"]


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A working directory with a folder of images, one of them damaged, and a model that needs no weights."""
    (tmp_path / "photos").mkdir()
    for name, color in (("red.png", "red"), ("blue.png", "blue")):
        Image.new("RGB", (8, 8), color).save(tmp_path / "photos" / name)
    (tmp_path / "photos" / "damaged.png").write_bytes(b"\x89PNG")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(embedding, "load", lambda *args, **kwargs: ColorEmbedder())


def examples_of(name: str) -> list[doctest.DocTest]:
    public: Any = getattr(visdiv_assets, name) if name else visdiv_assets
    document = inspect.getdoc(public) or ""
    return [doctest.DocTestParser().get_doctest(document, {}, name or "visdiv_assets", None, 0)]


@pytest.mark.usefixtures("photos")
@pytest.mark.parametrize("name", ["", *NAMES])
def test_examples_in_docstrings_run(name: str) -> None:
    (example,) = examples_of(name)
    assert example.examples
    output: list[str] = []
    result = doctest.DocTestRunner(verbose=False).run(example, out=output.append)
    assert not result.failed, "".join(output)


def test_every_public_name_is_typed_and_located() -> None:
    """A type checker sees the names that are loaded at run time."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(visdiv_assets)))
    checked = next(node for node in tree.body if isinstance(node, ast.If))
    imported = {
        alias.asname or alias.name for node in checked.body if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    assert imported == set(NAMES) == set(visdiv_assets._LOCATIONS)
    assert set(visdiv_assets.__all__) <= set(dir(visdiv_assets))


def test_version_is_that_of_the_distribution() -> None:
    assert visdiv_assets.__version__ == metadata.version("visdiv-assets")


def test_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'visdiv_assets' has no attribute 'nothing'"):
        _ = visdiv_assets.nothing


def test_importing_the_package_loads_nothing_heavy() -> None:
    code = (
        "import sys, visdiv_assets;"
        "print(*{'numpy', 'pyarrow', 'torch', 'dagster', 'PIL', 'pydantic', 'click', 'pandas'} & set(sys.modules))"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert loaded.strip() == ""
