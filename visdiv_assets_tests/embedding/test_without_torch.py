"""The default installation has neither torch nor transformers: SSCD in ONNX and joins on a CPU work without them."""

from __future__ import annotations

import subprocess
import sys

import pytest

from visdiv_assets_tests.conftest import CHECKOUT

BLOCKED = "import sys; sys.modules['torch'] = sys.modules['transformers'] = None\n"


def run(code: str) -> list[str]:
    """Run code in a process that has neither library, and return the lines that it prints."""
    done = subprocess.run([sys.executable, "-c", BLOCKED + code], cwd=CHECKOUT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_an_image_is_embedded_and_joined() -> None:
    code = """
import numpy as np
from PIL import Image
from visdiv_assets.embedding import load
from visdiv_assets.vectors.join import cross_join, self_join
from visdiv_assets_tests.conftest import shapes
embedder = load(device="auto")
vectors = embedder.embed([shapes(1), shapes(2), shapes(1)]).astype(np.float16)
print(embedder.device, self_join(vectors, 0.9).select(["left", "right"]).to_pylist())
print(cross_join(vectors[:1], vectors[1:], 0.9, k_best=1).num_rows)
"""
    assert run(code) == ["cpu [{'left': 0, 'right': 2}]", "1"]


def test_a_large_join_equals_one_with_torch() -> None:
    """It is projected with torch, and multiplied in full without."""
    code = """
import numpy as np
from visdiv_assets.vectors import bounded_tiles, join
from visdiv_assets_tests.testing.vectors import random_units
bounded_tiles.PROJECTED_FROM = 0
vectors = random_units(3000, 64).astype(np.float16)
vectors[2000:] = vectors[:1000]
found = join.cross_join(vectors, vectors[:500], 0.6)
print(join.self_join(vectors, 0.6).num_rows, found.num_rows, found["similarity"].to_numpy().sum())
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=CHECKOUT, capture_output=True, text=True, check=True)
    assert run(code) == done.stdout.splitlines()


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        ("load('sscd_disc_mixup', device='cpu')", "ConfigError", "torch is not installed: run `pip install 'visdiv-a"),
        ("load('auto', device='cuda')", "ConfigError", "torch is not installed: run `pip install 'visdiv-assets[gpu]'"),
        ("self_join(np.eye(4), 0.5, device='cuda')", "ConfigError", "torch is not installed: run `pip install"),
        ("cuda_devices()", "ConfigError", "torch is not installed: run `pip install 'visdiv-assets[gpu]'`"),
        (
            "load_clip_texts('owner/clip')",
            "NoClipWeightsError",
            "torch is not installed: run `pip install 'visdiv-asse",
        ),
        ("load_clip_images('owner/clip')", "NoClipWeightsError", "`pip install 'visdiv-assets[clip]'`, or set VISDIV_"),
    ],
)
def test_what_needs_torch_says_how_to_install_it(call: str, error: str, message: str) -> None:
    code = f"""
import numpy as np
from visdiv_assets.devices import cuda_devices
from visdiv_assets.embedding import load, load_clip_images, load_clip_texts
from visdiv_assets.errors import VisdivError
from visdiv_assets.vectors.join import self_join
try:
    {call}
except VisdivError as error:
    print(type(error).__name__, error)
"""
    (line,) = run(code)
    assert line.startswith(f"{error} ")
    assert message in line


def test_clip_needs_transformers_too() -> None:
    code = """
import importlib.machinery, types
sys.modules["torch"] = torch = types.ModuleType("torch")
torch.__spec__ = importlib.machinery.ModuleSpec("torch", None)
from visdiv_assets.embedding import load_clip_texts
try:
    load_clip_texts("owner/clip", device="cpu")
except Exception as error:
    print(type(error).__name__, error)
"""
    (line,) = run(code)
    assert line.startswith("NoClipWeightsError CLIP cannot be loaded: transformers is not installed: run `pip install")
