"""What messages for users leave out of the texts that they quote."""

from __future__ import annotations

import pytest

from visdiv_assets.errors import ConfigError, VisdivError, did_you_mean

#: The letters of secrets in the examples.
SECRET = "hidden0hidden0hidden"


@pytest.mark.parametrize(
    "text",
    [
        f"cannot list s3://key:{SECRET}@bucket/p",
        f"cannot list s3://key:a/{SECRET}@bucket/p",
        f"GET https://user:{SECRET}@proxy.example:8080/x failed",
        f"404 for https://cdn.example/f.parquet?X-Amz-Expires=3600&X-Amz-Signature={SECRET}&x=1",
        f"https://x.example/y?Signature={SECRET}&Policy={SECRET}&Key-Pair-Id={SECRET}",
        f"https://x.example/y?sv=2024&sig={SECRET}",
        f"azure://a/b?token={SECRET}",
        f"the header Authorization: Bearer {SECRET} is refused",
        f"'authorization': 'Bearer {SECRET}'",
        f"the token hf_{SECRET} is refused",
        f"the key AKIA{SECRET[:16].upper()} is refused",
    ],
)
def test_credentials_are_left_out_of_messages(text: str) -> None:
    said = str(VisdivError(text))
    assert "hidden" not in said.lower()
    assert said.split()[0] == text.split()[0] or "://" in text


@pytest.mark.parametrize(
    "text",
    [
        "hf://datasets/owner/name@main has no such revision",
        "http://127.0.0.1:8080/datasets/o/n@main is gone",
        "run `visdiv run a@b`: basic statistics are missing",
        "s3://bucket/prefix?region=eu-west-1 is empty",
    ],
)
def test_other_texts_are_kept(text: str) -> None:
    assert str(VisdivError(text)) == text


def test_control_characters_do_not_reach_a_terminal() -> None:
    said = str(VisdivError("subset 'a\x1b[2J\x1b]0;title\x07\u202egnp.exe\r\nb' is missing"))
    assert said == "subset 'a\ufffd[2J\ufffd]0;title\ufffd\ufffdgnp.exe b' is missing"


@pytest.mark.parametrize(
    ("name", "question"),
    [
        ("ai2d_mergd", "did you mean 'ai2d_merged'?"),
        ("AI2D_MERGED", "did you mean 'ai2d_merged'?"),
        ("merged", "did you mean 'ai2d_merged'?"),
        ("chartq", "did you mean 'chartqa'?"),
        ("geoqa", "did you mean 'geoqa+(y)' or 'geoqa+(x)'?"),
        ("zzz", ""),
        ("a", ""),
    ],
)
def test_a_name_that_was_probably_meant_is_suggested(name: str, question: str) -> None:
    assert did_you_mean(name, ["ai2d_merged", "chartqa", "geoqa+(x)", "geoqa+(y)"]) == question


def test_the_detail_of_an_error_keeps_its_lines() -> None:
    error = ConfigError("one\nline", detail="LINE 1: a\n        ^\x1b")
    assert (str(error), error.detail) == ("one line", "LINE 1: a\n        ^\ufffd")
