"""What a check says, and how checks are made one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from visdiv_assets.errors import VisdivError


class Level(StrEnum):
    """How bad it is."""

    OK = "ok"
    #: Runs succeed, but something is worth knowing or is not used.
    WARNING = "warning"
    #: Runs fail, or will.
    PROBLEM = "problem"


@dataclass(frozen=True)
class Verdict:
    """What a check found, in one line, with what to do where something is wrong."""

    level: Level
    text: str


#: Looks at one thing; None if it has nothing to say.
Check = Callable[[], Verdict | None]


@dataclass(frozen=True)
class Finding:
    """The verdict of a check, with its name."""

    name: str
    level: Level
    text: str


def ok(text: str) -> Verdict:
    """All is well."""
    return Verdict(Level.OK, text)


def warning(text: str) -> Verdict:
    """Worth knowing."""
    return Verdict(Level.WARNING, text)


def problem(text: str) -> Verdict:
    """To be mended."""
    return Verdict(Level.PROBLEM, text)


def examine(checks: Iterable[tuple[str, Check]]) -> Iterator[Finding]:
    """Make checks, each whatever the others did: an exception is a problem with its text.

    Args:
        checks: names and functions.

    Yields:
        the findings as they come, each of one line.
    """
    for name, check in checks:
        try:
            verdict = check()
        except VisdivError as error:
            verdict = problem(str(error))
        except Exception as error:  # Whatever is broken, the other checks are still worth making.
            verdict = problem(f"{type(error).__name__}: {error}")
        if verdict is not None:
            yield Finding(name, verdict.level, " ".join(verdict.text.split()))
