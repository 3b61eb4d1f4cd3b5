"""The description of the machine that a measurement ran on."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from contextlib import suppress
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from visdiv_assets.devices import has_cuda
from visdiv_assets.threads import thread_count

LIBRARIES = ("torch", "numpy", "faiss-cpu", "onnxruntime")


def describe() -> str:
    """Return one line: date, cores that this process may use, processor, CUDA device, and library versions."""
    parts = [date.today().isoformat(), f"{thread_count(0)} cores of {processor_name()}"]
    if has_cuda():
        import torch

        parts.append(torch.cuda.get_device_name())
    return ", ".join([*parts, *_versions()])


def _versions() -> Iterator[str]:
    for library in LIBRARIES:
        # torch is optional.
        with suppress(PackageNotFoundError):
            yield f"{library} {version(library)}"


def processor_name() -> str:
    """Return the name of the processor, and whether it multiplies bfloat16."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    name = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
    bfloat16 = any(line.startswith("flags") and "avx512_bf16" in line.split() for line in lines)
    return f"{name} with bfloat16" if bfloat16 else name
