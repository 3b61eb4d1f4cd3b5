"""Verdicts of checks, and how checks are run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from visdiv_assets.errors import VisdivError


class Level(StrEnum):
    """Severity of a verdict."""

    OK = "ok"
    #: Runs succeed, but something needs attention or is not used.
    WARNING = "warning"
    #: Runs fail.
    PROBLEM = "problem"


@dataclass(frozen=True)
class Verdict:
    """What a check found, in one line, with what to do if something is wrong."""

    level: Level
    text: str


#: A check; it returns None if it does not apply.
Check = Callable[[], Verdict | None]


@dataclass(frozen=True)
class Finding:
    """The verdict of a check, with its name."""

    name: str
    level: Level
    text: str


def ok(text: str) -> Verdict:
    """Return the verdict that all is well."""
    return Verdict(Level.OK, text)


def warning(text: str) -> Verdict:
    """Return a warning."""
    return Verdict(Level.WARNING, text)


def problem(text: str) -> Verdict:
    """Return a problem."""
    return Verdict(Level.PROBLEM, text)


def examine(checks: Iterable[tuple[str, Check]]) -> Iterator[Finding]:
    """Run checks one after the other; an exception of a check is a problem and does not stop the others.

    Args:
        checks: names and functions.

    Yields:
        The finding of each check, whose text is one line.
    """
    for name, check in checks:
        try:
            verdict = check()
        except VisdivError as error:
            verdict = problem(str(error))
        except Exception as error:  # A defect in one check must not stop the others.
            verdict = problem(f"{type(error).__name__}: {error}")
        if verdict is not None:
            yield Finding(name, verdict.level, " ".join(verdict.text.split()))
