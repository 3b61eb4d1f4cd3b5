"""Optional dependencies: whether they are installed, and how to install them."""

from __future__ import annotations

import importlib
from importlib.util import find_spec
from types import ModuleType

from visdiv_assets.errors import ConfigError


def is_installed(module: str) -> bool:
    """Return whether a module can be imported, without importing it."""
    return find_spec(module) is not None


def check_extra(module: str, extra: str) -> None:
    """Raise if a module of an optional dependency cannot be imported, without importing it.

    Args:
        module: name of the module, such as "umap".
        extra: the extra of this package that installs it, such as "maps".

    Raises:
        ConfigError: it is not installed.
    """
    if not is_installed(module):
        raise ConfigError(f"{module} is not installed: run `pip install 'visdiv-assets[{extra}]'`")


def require_extra(module: str, extra: str) -> ModuleType:
    """Import a module of an optional dependency.

    Args:
        module: name of the module, such as "umap".
        extra: the extra of this package that installs it, such as "maps".

    Raises:
        ConfigError: it is not installed.
    """
    check_extra(module, extra)
    return importlib.import_module(module)
