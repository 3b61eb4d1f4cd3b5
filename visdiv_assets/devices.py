"""Resolve the setting `device` to devices that exist."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING

from visdiv_assets.errors import ModelError
from visdiv_assets.extras import check_extra, is_installed

if TYPE_CHECKING:
    import torch


def has_driver() -> bool:
    """Return whether a CUDA driver is installed."""
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    return True


def has_cuda() -> bool:
    """Return whether torch is installed and can use a CUDA device. torch is imported only if a driver is installed."""
    if not has_driver() or not is_installed("torch"):
        return False
    import torch

    return torch.cuda.is_available()


#: The setting for all CUDA devices of the machine.
ALL_DEVICES = "cuda:all"


def resolve_device(setting: str) -> str:
    """Return one device for a setting: `auto` is CUDA if available, else the CPU; `cuda:all` is the first device."""
    if setting == "auto":
        return "cuda" if has_cuda() else "cpu"
    return "cuda" if setting == ALL_DEVICES else setting


def cuda_devices() -> list[str]:
    """Return the names of all CUDA devices of this machine.

    Raises:
        ConfigError: torch is not installed.
        ModelError: there is none.
    """
    check_extra("torch", "gpu")
    if not has_cuda():
        raise ModelError(f"VISDIV_DEVICE={ALL_DEVICES}, but torch finds no CUDA device: set it to auto or cpu")
    import torch

    return [f"cuda:{index}" for index in range(torch.cuda.device_count())]


def torch_device(name: str) -> torch.device:
    """Return the torch device with a name such as "cpu", "cuda" or "cuda:1".

    Raises:
        ConfigError: torch is not installed.
        ModelError: it cannot be used.
    """
    check_extra("torch", "gpu")
    import torch

    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ModelError(f"the device {name} cannot be used ({reason}): set VISDIV_DEVICE to another device") from None
    return device
