"""The program itself: Python, the packages it needs, and its settings."""

from __future__ import annotations

import importlib.metadata
import platform

from visdiv_assets.orchestration.doctor.verdicts import Verdict, ok, problem, warning
from visdiv_assets.settings import Settings, misspelled_variables, variable, variables_set

DISTRIBUTION = "visdiv-assets"
#: Shown where all is well: those whose versions people ask for first.
_SHOWN = ("dagster", "duckdb", "torch", "onnxruntime")


def check_python() -> Verdict:
    """Whether this Python is one that the program runs on."""
    from packaging.specifiers import SpecifierSet

    needed = importlib.metadata.metadata(DISTRIBUTION)["Requires-Python"]
    present = platform.python_version()
    if not SpecifierSet(needed).contains(present, prereleases=True):
        return problem(f"Python {present}, but {needed} is needed: install {DISTRIBUTION} with a newer Python")
    return ok(f"Python {present} on {platform.system()} {platform.machine()}")


def check_packages() -> Verdict:
    """Whether every package is there in a version that the program was made for."""
    from packaging.requirements import Requirement

    wanted = [Requirement(text) for text in importlib.metadata.requires(DISTRIBUTION) or []]
    wanted = [needed for needed in wanted if needed.marker is None or needed.marker.evaluate({"extra": ""})]
    wrong = []
    for needed in wanted:
        try:
            present = importlib.metadata.version(needed.name)
        except importlib.metadata.PackageNotFoundError:
            wrong.append(f"{needed.name} is missing ({needed.specifier} is needed)")
            continue
        if not needed.specifier.contains(present, prereleases=True):
            wrong.append(f"{needed.name} {present} is installed, {needed.specifier} is needed")
    if wrong:
        return problem(f"{'; '.join(wrong)}: run `pip install {DISTRIBUTION}` again, or `make install` in a checkout")
    shown = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in _SHOWN)
    return ok(f"{len(wanted)} packages, each in a version that fits: {shown}")


def check_settings(settings: Settings) -> Verdict:
    """Which settings are set, and whether one that is missing or misspelled is likely to be meant otherwise."""
    present = variables_set()
    misspelled = misspelled_variables()
    if misspelled:
        typed, meant = misspelled[0]
        return warning(f"{typed} is set, which is no setting: was {meant} meant?")
    if variable("source") not in present:
        return warning(f"VISDIV_SOURCE is not set, so {settings.source} is read: name your own images there")
    return ok(
        f"{len(present)} set ({', '.join(present)}), the other {len(Settings.model_fields) - len(present)} as default"
    )
