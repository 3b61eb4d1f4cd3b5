"""Read the texts of a row, in whatever shape they are stored, as turns of a user and an assistant.

Accepted are lists of structs, dictionaries of lists, and JSON of either, with one of these per entry:

- `user` and `assistant`, as in FineVision,
- `role` and `content`, or `from` and `value`, as in chat formats: a text of the user and the answer that follows are a
  turn; system prompts and the messages of tools are left out, and of contents in parts the parts of text are joined.

A string that is no JSON may be one answer without a question, such as a caption.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from visdiv_assets.sources.conform import WrongTypeError, conform, is_list, is_text, plain

TURN = pa.struct([("user", pa.string()), ("assistant", pa.string())])
TURNS = pa.list_(TURN)

#: Columns with conversations, in the order in which they are looked for.
TEXT_COLUMNS = ("texts", "conversations", "conversation", "messages")

#: Names of the fields of a message: who said it, and what.
_FIELDS = (("role", "content"), ("from", "value"))
_USERS = frozenset({"user", "human", "prompter", "question"})
_ASSISTANTS = frozenset({"assistant", "gpt", "model", "bot", "chatgpt", "answer"})
_SILENT = frozenset({"system", "tool", "function", "observation", "developer", "function_call", "tool_call"})

Turn = tuple[str | None, str | None]


class _NoConversationError(Exception):
    """A value is no conversation."""


def read_turns(columns: Sequence[pa.Array], *, captions: bool = False) -> tuple[pa.Array, np.ndarray]:
    """Read conversations.

    Args:
        columns: one column of conversations, or one of questions and one of answers; each of length n.
        captions: whether a string that is no JSON is an answer; otherwise it cannot be read.

    Returns:
        list<struct<user, assistant>> [n], null where there are no texts or none that can be read; and which rows have
        texts that cannot be read: bool [n].

    Raises:
        WrongTypeError: the columns' types cannot hold texts.
        pa.ArrowException: a text is not UTF-8.
    """
    if len(columns) == 2:
        return _pairs(*(conform(column, pa.string()) for column in columns))
    array = plain(columns[0])
    if pa.types.is_null(array.type):
        return pa.nulls(len(array), TURNS), np.zeros(len(array), bool)
    if _has_turns(array.type):
        return conform(array, TURNS), np.zeros(len(array), bool)
    if not (is_text(array.type) or _may_hold_messages(array.type)):
        raise WrongTypeError
    array.validate(full=True)
    found: list[list[Turn] | None] = []
    broken = np.zeros(len(array), bool)
    for row, value in enumerate(array.to_pylist()):
        try:
            found.append(None if value is None else _turns(value, captions))
        except _NoConversationError:
            found.append(None)
            broken[row] = True
    turns = [None if row is None else [{"user": user, "assistant": answer} for user, answer in row] for row in found]
    return pa.array(turns, TURNS), broken


def _pairs(users: pa.Array, assistants: pa.Array) -> tuple[pa.Array, np.ndarray]:
    turns = pa.StructArray.from_arrays([users, assistants], fields=list(TURN))
    offsets = pa.array(range(len(users) + 1), pa.int32())
    return pa.ListArray.from_arrays(offsets, turns, TURNS), np.zeros(len(users), bool)


def _has_turns(kind: pa.DataType) -> bool:
    """Return whether a type is a list of structs with the fields of a turn."""
    return is_list(kind) and _field_names(kind.value_type) >= {"user", "assistant"}


def _may_hold_messages(kind: pa.DataType) -> bool:
    names = _field_names(kind.value_type if is_list(kind) else kind)
    return any(names >= set(pair) for pair in (*_FIELDS, ("user", "assistant")))


def _field_names(kind: pa.DataType) -> set[str]:
    while isinstance(kind, pa.BaseExtensionType):
        kind = kind.storage_type
    return {field.name for field in kind} if pa.types.is_struct(kind) else set()


def _turns(value: Any, captions: bool) -> list[Turn]:
    if isinstance(value, str):
        return _turns_of_text(value, captions)
    if isinstance(value, dict):
        value = _entries(value)
    if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
        raise _NoConversationError
    turns: list[Turn] = []
    asked: list[str] = []
    for entry in value:
        if "user" in entry or "assistant" in entry:
            turns.append((_text(entry.get("user")), _text(entry.get("assistant"))))
            continue
        speaker, text = _message(entry)
        if speaker in _USERS:
            asked += [text] if text is not None else []
        elif speaker in _ASSISTANTS:
            turns.append(("\n".join(asked) if asked else None, text))
            asked = []
        elif speaker not in _SILENT:
            raise _NoConversationError
    return [*turns, ("\n".join(asked), None)] if asked else turns


def _turns_of_text(text: str, captions: bool) -> list[Turn]:
    try:
        value = json.loads(text) if text.lstrip()[:1] in ("[", "{") else None
    except (ValueError, RecursionError):
        value = None
    if isinstance(value, list | dict):
        return _turns(value, captions=False)
    if not text:
        return []
    if not captions:
        raise _NoConversationError
    return [(None, text)]


def _entries(value: dict[str, Any]) -> list[Any]:
    """Return the entries of a dictionary of lists, of a dictionary that holds a conversation, or of a single one."""
    for name in TEXT_COLUMNS:
        if isinstance(held := value.get(name), list | dict):
            return held if isinstance(held, list) else _entries(held)
    for names in (*_FIELDS, ("user", "assistant")):
        columns = [value.get(name) for name in names]
        if all(isinstance(column, list) for column in columns):
            return [dict(zip(names, entry, strict=True)) for entry in zip(*columns, strict=False)]
    return [value]


def _message(entry: dict[str, Any]) -> tuple[str, str | None]:
    for who, what in _FIELDS:
        if isinstance(entry.get(who), str) and what in entry:
            return entry[who].strip().lower(), _text(entry[what])
    raise _NoConversationError


def _text(content: Any) -> str | None:
    """Return the text of a message's content, which may be in parts; None if it has none."""
    if content is None or isinstance(content, str):
        return content
    if isinstance(content, dict):
        content = [content]
    if not isinstance(content, list):
        raise _NoConversationError
    parts = [part if isinstance(part, str) else part.get("text") for part in content if isinstance(part, str | dict)]
    texts = [part for part in parts if isinstance(part, str)]
    return "\n".join(texts) if texts else None
