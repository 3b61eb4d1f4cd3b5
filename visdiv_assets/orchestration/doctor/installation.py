"""Check the installation: Python, packages and settings."""

from __future__ import annotations

import importlib.metadata
import platform

from visdiv_assets.orchestration.doctor.verdicts import Verdict, ok, problem, warning
from visdiv_assets.settings import Settings, misspelled_variables

DISTRIBUTION = "visdiv-assets"
#: Packages whose versions are shown, since bug reports need them first.
_SHOWN = ("dagster", "duckdb", "torch", "onnxruntime")


def check_python() -> Verdict:
    """Check that this version of Python is supported."""
    from packaging.specifiers import SpecifierSet

    needed = importlib.metadata.metadata(DISTRIBUTION)["Requires-Python"]
    present = platform.python_version()
    if not SpecifierSet(needed).contains(present, prereleases=True):
        return problem(
            f"Python {present} is installed, but {needed} is required: install {DISTRIBUTION} with a newer Python"
        )
    return ok(f"Python {present} on {platform.system()} {platform.machine()}")


def check_packages() -> Verdict:
    """Check that every required package is installed in a supported version."""
    from packaging.requirements import Requirement

    wanted = [Requirement(text) for text in importlib.metadata.requires(DISTRIBUTION) or []]
    wanted = [needed for needed in wanted if needed.marker is None or needed.marker.evaluate({"extra": ""})]
    wrong = []
    for needed in wanted:
        try:
            present = importlib.metadata.version(needed.name)
        except importlib.metadata.PackageNotFoundError:
            wrong.append(f"{needed.name} is missing ({needed.specifier} is required)")
            continue
        if not needed.specifier.contains(present, prereleases=True):
            wrong.append(f"{needed.name} {present} is installed, {needed.specifier} is required")
    if wrong:
        return problem(f"{'; '.join(wrong)}: run `pip install {DISTRIBUTION}` again, or `make install` in a checkout")
    shown = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in _SHOWN)
    return ok(f"{len(wanted)} packages in supported versions: {shown}")


def check_settings(settings: Settings) -> Verdict:
    """Check for misspelled variables, and that the source is not the default by mistake."""
    if misspelled := misspelled_variables():
        typed, meant = misspelled[0]
        return warning(f"the environment variable {typed} is not a setting: did you mean {meant}?")
    given = sorted(settings.model_fields_set)
    if "source" not in given:
        return warning(f"VISDIV_SOURCE is not set, so {settings.source} is read: set it to your images")
    others = len(Settings.model_fields) - len(given)
    return ok(f"{len(given)} set ({', '.join(given)}), {others} have their defaults")
