"""Template questions: those that a dataset asks of many images, with answers that differ."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

#: A turn: its question and its answer; None or empty where it has none.
Turn = tuple[str | None, str | None]


def template_questions(rows: Iterable[Sequence[Turn]], minimum: int) -> set[str]:
    """Find the questions that are templates, as `text_duplicates` tells them from duplicates.

    Args:
        rows: the turns of each row; rows have different images.
        minimum: minimum number of rows in which a template stands.

    Returns:
        the questions that stand in at least `minimum` rows and have two or more different answers.
    """
    seen: dict[str, int] = defaultdict(int)
    answers: dict[str, set[str | None]] = defaultdict(set)
    for turns in rows:
        for asked in {question for question, _ in turns if question}:
            seen[asked] += 1
        for question, answer in turns:
            if question:
                # Two answers suffice: a question may stand in many rows.
                known = answers[question]
                if len(known) < 2:
                    known.add(answer)
    return {question for question, rows_with in seen.items() if rows_with >= minimum and len(answers[question]) > 1}


def joined_turns(turns: Sequence[Turn], without: frozenset[str] | set[str] = frozenset()) -> str:
    """Return the turns of a row as one text: question, then answer, turn by turn, one line each.

    Args:
        turns: the turns.
        without: questions to leave out.
    """
    kept = ((question if question not in without else None, answer) for question, answer in turns)
    return "\n".join(text for turn in kept for text in turn if text)
