"""Where work runs: a device that was asked for by name, or a clear error."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING

from visdiv_assets.errors import ModelError

if TYPE_CHECKING:
    import torch


def has_driver() -> bool:
    """Whether a CUDA driver is installed."""
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    return True


def has_cuda() -> bool:
    """Whether torch can use a CUDA device; torch is imported only where a driver is installed."""
    if not has_driver():
        return False
    import torch

    return torch.cuda.is_available()


#: The setting that means every CUDA device of the machine.
ALL_DEVICES = "cuda:all"


def resolve_device(setting: str) -> str:
    """The one device that a setting means: `auto` is CUDA if there is a device, else the CPU; all means the first."""
    if setting == "auto":
        return "cuda" if has_cuda() else "cpu"
    return "cuda" if setting == ALL_DEVICES else setting


def cuda_devices() -> list[str]:
    """The names of all CUDA devices of this machine.

    Raises:
        ModelError: there is none.
    """
    if not has_cuda():
        raise ModelError(f"VISDIV_DEVICE={ALL_DEVICES}, but torch finds no CUDA device here: set another device")
    import torch

    return [f"cuda:{number}" for number in range(torch.cuda.device_count())]


def torch_device(name: str) -> torch.device:
    """The device of torch with that name ("cpu", "cuda", "cuda:1").

    Raises:
        ModelError: there is none.
    """
    import torch

    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ModelError(f"the device {name} cannot be used: {str(error).splitlines()[0]}") from None
    return device
