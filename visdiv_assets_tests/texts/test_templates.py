from __future__ import annotations

from visdiv_assets.texts.templates import Turn, joined_turns, template_questions

ASKED = "What is this?"


def rows(count: int, answer: str = "thing {}") -> list[list[Turn]]:
    return [[(ASKED, answer.format(number))] for number in range(count)]


def test_a_question_of_many_rows_with_several_answers_is_one() -> None:
    assert template_questions(rows(3), 3) == {ASKED}
    assert template_questions(rows(2), 3) == set()


def test_a_question_that_has_one_answer_is_none() -> None:
    assert template_questions(rows(5, "the same"), 3) == set()


def test_a_row_that_repeats_a_question_counts_once() -> None:
    assert template_questions([[(ASKED, str(number)) for number in range(9)]], 2) == set()


def test_rows_without_texts_ask_nothing() -> None:
    assert template_questions([[], [(None, "a")], [("", "b")]], 1) == set()


def test_turns_are_joined_without_some_questions() -> None:
    turns: list[Turn] = [(ASKED, "a bird"), (None, "more"), ("Which?", None), ("", "")]
    assert joined_turns(turns) == f"{ASKED}\na bird\nmore\nWhich?"
    assert joined_turns(turns, {ASKED}) == "a bird\nmore\nWhich?"
