"""Locations, which are folders or URIs, and errors of object storage in one line."""

from __future__ import annotations

from pathlib import Path

import pyarrow.fs as pafs
import pytest

from visdiv_assets.errors import VisdivError
from visdiv_assets.storage import error_messages, uris


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        ("s3://b/p", "s3://b/p/lake"),
        ("s3://b/p/", "s3://b/p/lake"),
        ("s3://b", "s3://b/lake"),
        ("s3://b/p?scheme=http&endpoint_override=h:1", "s3://b/p/lake?scheme=http&endpoint_override=h:1"),
        ("/some/folder", "/some/folder/lake"),
        ("file:///some%20folder", "/some folder/lake"),
    ],
)
def test_a_name_below_a_place_comes_before_how_it_is_reached(place: str, expected: str) -> None:
    assert uris.join(place, "lake") == expected


def test_a_relative_folder_stays_where_it_was_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert uris.join("data", "lake") == str(tmp_path / "data" / "lake")
    filesystem, root = uris.open_filesystem("data")
    assert isinstance(filesystem, pafs.LocalFileSystem)
    assert root == str(tmp_path / "data")


def test_an_s3_location_is_opened_without_a_request() -> None:
    filesystem, root = uris.open_filesystem(
        "s3://b/some/p%20x/?endpoint_override=127.0.0.1:9&scheme=http&region=eu-west-1"
    )
    assert isinstance(filesystem, pafs.S3FileSystem)
    assert (root, filesystem.region) == ("b/some/p x", "eu-west-1")
    assert uris.display("s3://b/p/?endpoint_override=127.0.0.1:9") == "s3://b/p"


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("s3://", "does not name a bucket"),
        ("s3:///prefix", "does not name a bucket"),
        ("s3://b/p#x", "does not name a bucket"),
        ("s3://b/p?bucket=x", "unknown option 'bucket': options after the question mark are endpoint_override"),
        ("s3://b/p?scheme=ftp", "unknown option 'scheme=ftp'"),
        ("nowhere://b/p", "nowhere://b/p cannot be opened .*: use a folder or s3://bucket/prefix"),
    ],
)
def test_a_uri_that_is_not_understood_is_one_line(place: str, message: str) -> None:
    with pytest.raises(VisdivError, match=message):
        uris.open_filesystem(place)


@pytest.mark.parametrize(
    "location",
    [
        "s3://key:hidden@b/p",
        "s3://key:hid/hidden@b/p",
        "s3://hidden@b/p",
        "gs://user:hidden@b/p",
        "s3://b/p?secret_key=hidden&region=x",
        "s3://b/p?X-Amz-Signature=hidden",
    ],
)
def test_credentials_in_a_uri_are_refused_and_not_repeated(location: str) -> None:
    for use in (uris.check, uris.open_filesystem):
        with pytest.raises(VisdivError, match="AWS_SECRET_ACCESS_KEY") as caught:
            use(location)
        assert "hidden" not in str(caught.value)
    assert "hidden" not in uris.display(location)


@pytest.mark.parametrize("location", ["s3://b/user@x/p", "s3://b/p?endpoint_override=localhost:9000&scheme=http"])
def test_a_uri_without_credentials_passes(location: str) -> None:
    uris.check(location)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "When listing objects under key 'p/' in bucket 'b': AWS Error NETWORK_CONNECTION during ListObjectsV2 "
            "operation: curlCode: 28, Timeout was reached; Details: Operation too slow.",
            "the server does not answer",
        ),
        (
            "When reading information for key 'x' in bucket 'b': AWS Error UNKNOWN (HTTP status 503) during HeadObject "
            "operation: No response body.",
            "the server is busy or broken (503)",
        ),
        (
            "When getting information for key 'x' in bucket 'b': AWS Error UNKNOWN (HTTP status 400) during HeadObject "
            "operation: No response body.",
            "HeadObject: HTTP status 400",
        ),
        (
            "AWS Error UNKNOWN (HTTP status 400) during PutObject operation: Unable to parse ExceptionName: "
            "ExpiredToken Message: some message",
            "access is denied (expiredtoken)",
        ),
        (
            "AWS Error INVALID_RANGE during GetObject operation: The range is wrong (Request ID: abc)",
            "GetObject: The range is wrong",
        ),
    ],
)
def test_what_the_client_of_s3_says_is_shortened(text: str, expected: str) -> None:
    assert error_messages.reason_of(OSError(text)).text == expected
    assert error_messages.is_of_object_storage(OSError(text))


def test_what_a_disk_says_is_left_as_it_is() -> None:
    error = PermissionError(13, "AWS Error X during Y operation: z")
    assert error_messages.reason_of(error).text == "Permission denied"
    assert not error_messages.is_of_object_storage(error)
