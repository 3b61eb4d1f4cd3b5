"""Personal data in texts: what is found and what is not, where, and that values stay out of the result."""

from __future__ import annotations

import time

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from visdiv_assets.texts.personal_data import FOUND_SCHEMA, find_personal_data


def found(*texts: str | None) -> list[tuple[int, str, int, int]]:
    table = find_personal_data(pa.array(texts, pa.string()))
    assert table.schema == FOUND_SCHEMA
    return [tuple(record.values()) for record in table.to_pylist()]


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("email", "jane.doe+x@mail.example.com"),
        ("phone", "+49 30 901820"),
        ("phone", "+1 (212) 736-5000"),
        ("phone", "(212) 736-5000"),
        ("phone", "212-736-5000"),
        ("ip_address", "8.8.8.8"),
        ("key", "AKIA" + "ABCD" * 4),
        ("key", "ghp_" + "aB3" * 12),
        ("key", "hf_" + "aB" * 17),
        ("key", "-----BEGIN RSA PRIVATE KEY-----"),
        ("key", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abc_def"),
        ("key", f"eyJhbGciOiJIUzI1NiJ9.eyJ{'a' * 2000}.abc_def"),
        ("key", f"sk-proj-{'a_' * 50}{'a' * 20}T3BlbkFJ{'a' * 20}"),
    ],
)
def test_each_kind_is_found_where_it_begins(kind: str, value: str) -> None:
    assert found("nothing", f"sée {value}, and {value}") == [(1, kind, 2, 4)]


@pytest.mark.parametrize(
    "text",
    [
        None,
        "a@b and @name, 3 @ 5",
        "192.168.0.1, 10.0.0.1, 127.0.0.1, 999.1.1.1, 1.2.3.4.5, v1.2.3",
        "2012-2013-2014, 123-456-7890, 000-000-0000, 12+345678901234, 2127365000",
        "1,234,567 and 3.14159265358979 and 2024-01-31",
        "AKIAIOSFODNN and ghp_short and eyJ.eyJ.x",
    ],
)
def test_what_only_looks_alike_is_not_found(text: str | None) -> None:
    assert found(text) == []


@pytest.mark.parametrize(
    ("key", "hostile"),
    [
        (f"sk-{'a' * 20}T3BlbkFJ{'a' * 20}", "sk-" * 17_000 + "a" * 50_000),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abc_def", "eyJ-" * 25_000),
    ],
)
def test_the_time_grows_with_the_length_of_a_text(key: str, hostile: str) -> None:
    # The key lets the text pass the hint. A pattern that reads each beginning to the end takes minutes.
    begin = time.monotonic()
    assert found(f"{key} {hostile}") == [(0, "key", 1, 0)]
    assert time.monotonic() - begin < 10


def test_kinds_of_one_text_are_listed_in_order() -> None:
    text = f"8.8.8.8 a@b.org {'AKIA' + 'ABCD' * 4}"
    assert found(text) == [(0, "email", 1, 8), (0, "ip_address", 1, 0), (0, "key", 1, 16)]


@settings(deadline=None)
@given(st.lists(st.sampled_from(["jane.doe@x.org ", "+1 212 736 5000 ", "8.8.8.8 ", "née ", "@@ ", "++ "]), max_size=8))
def test_counts_are_the_number_of_values(parts: list[str]) -> None:
    counts = {kind: count for _, kind, count, _ in found("".join(parts))}
    expected = {"email": "jane.doe@x.org ", "phone": "+1 212 736 5000 ", "ip_address": "8.8.8.8 "}
    assert counts == {kind: parts.count(value) for kind, value in expected.items() if value in parts}
