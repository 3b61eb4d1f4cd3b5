"""Which pairs the page lists: the filters of a request, and the condition in SQL that they make."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from visdiv_assets.duplicates.person_decisions import RIGHT, UNSURE, WRONG
from visdiv_assets.errors import InputError
from visdiv_assets.publishing.review.pair_loading import DUPLICATES, KINDS

#: What a person can say of a pair, and `none`: nothing yet.
MARKS = ("none", RIGHT, WRONG, UNSURE)
VERDICTS = ("undecided", "confirmed", "rejected")

#: Maximum pairs of a random sample; a larger one has the pairs of a smaller one, and more.
MAX_SAMPLE = 10_000

_MAX_NUMBER = 2**62
_Value = TypeVar("_Value", int, float)


class Query(Protocol):
    """The parameters of a request, each of which may be given several times."""

    def getlist(self, key: str) -> Sequence[str]:
        """Return all values of a parameter."""
        ...


@dataclass(frozen=True)
class Filters:
    """Which pairs are listed; an empty tuple allows all values.

    Attributes:
        kind: one of `KINDS`.
        sample: number of pairs of the random sample of confirmed pairs; 0 to list all pairs. With a sample only `kind`
            and `mark` apply, since a sample of some kinds of pairs only would say nothing of all.
        verdict: names out of `VERDICTS`.
        evidence: kinds of evidence, or reasons for which pairs are not confirmed.
        subset: names of subsets; a pair is listed if one of them holds it.
        benchmark: names of benchmarks.
        mark: names out of `MARKS`.
        least: minimum confidence; None for no limit. A pair without a confidence is listed only without limits.
        most: maximum confidence.
    """

    kind: str = DUPLICATES
    sample: int = 0
    verdict: tuple[str, ...] = ()
    evidence: tuple[str, ...] = ()
    subset: tuple[str, ...] = ()
    benchmark: tuple[str, ...] = ()
    mark: tuple[str, ...] = ()
    least: float | None = None
    most: float | None = None

    @property
    def place(self) -> str:
        """The column by which the listed pairs are ordered.

        A sample keeps its random order, so that the pairs that were marked first are a random sample, too.
        """
        return "s.place" if self.sample else "p.number"

    @property
    def said(self) -> str:
        """What counts as said of a pair; in a sample, only what was said of it as a part of the sample."""
        return "CASE WHEN m.sampled THEN m.decision END" if self.sample else "m.decision"

    def condition(self, *, marks: bool = True) -> Condition:
        """Return the condition on rows of `pairs` p, `sampled_pairs` s and `marks` m, joined.

        Args:
            marks: whether to filter by what a person said.
        """
        found = Condition()
        found.add("p.kind = ?", self.kind)
        if self.sample:
            found.add("s.place <= ?", self.sample)
        else:
            found.add_any("p.verdict", self.verdict)
            found.add_any("p.shown", self.evidence)
            found.add_overlap("p.subsets", self.subset)
            found.add_overlap("p.benchmarks", self.benchmark)
            if self.least is not None:
                found.add("p.confidence >= ?::FLOAT", self.least)
            if self.most is not None:
                found.add("p.confidence <= ?::FLOAT", self.most)
        if marks:
            found.add_any(f"coalesce({self.said}, 'none')", self.mark)
        return found


@dataclass
class Condition:
    """A condition in SQL, and the values of its parameters."""

    parts: list[str] = field(default_factory=list)
    parameters: list[object] = field(default_factory=list)

    @property
    def sql(self) -> str:
        """The condition."""
        return " AND ".join(self.parts)

    def add(self, part: str, value: object) -> None:
        """Add a condition with one parameter."""
        self.parts.append(part)
        self.parameters.append(value)

    def add_any(self, expression: str, values: tuple[str, ...]) -> None:
        """Require a text to be one of some values, if there are any."""
        if values:
            self.add(f"{expression} IN (SELECT unnest(?))", list(values))

    def add_overlap(self, expression: str, values: tuple[str, ...]) -> None:
        """Require a list to hold one of some values, if there are any."""
        if values:
            self.add(f"list_has_any({expression}, ?)", list(values))


def parse_filters(query: Query) -> Filters:
    """Return the filters of a request.

    Raises:
        InputError: a value is not allowed.
    """
    kind = one_of("kind", query, KINDS) or DUPLICATES
    least, most = number("least", query, float, 0, 1), number("most", query, float, 0, 1)
    return Filters(
        kind=kind,
        sample=number("sample", query, int, 0, MAX_SAMPLE) or 0,
        verdict=_several("verdict", query, VERDICTS),
        evidence=tuple(query.getlist("evidence")),
        subset=tuple(query.getlist("subset")),
        benchmark=tuple(query.getlist("benchmark")),
        mark=_several("mark", query, MARKS),
        least=least,
        most=most,
    )


def one_of(name: str, query: Query, allowed: Sequence[str]) -> str:
    """Return a parameter that may be missing; empty then.

    Raises:
        InputError: it has another value than the allowed ones.
    """
    values = _several(name, query, allowed)
    return values[-1] if values else ""


def number(
    name: str, query: Query, parse: Callable[[str], _Value], least: int = 0, most: int = _MAX_NUMBER
) -> _Value | None:
    """Return a number that may be missing; None then.

    Raises:
        InputError: it is not a number from `least` to `most`.
    """
    values = query.getlist(name)
    if not values or values[-1] == "":
        return None
    try:
        value = parse(values[-1])
    except ValueError:
        value = None
    if value is None or not least <= value <= most:
        raise InputError(f"{name} must be a number from {least} to {most}")
    return value


def _several(name: str, query: Query, allowed: Sequence[str]) -> tuple[str, ...]:
    values = tuple(query.getlist(name))
    for value in values:
        if value not in allowed:
            raise InputError(f"{name} must be one of {', '.join(allowed)}")
    return values
