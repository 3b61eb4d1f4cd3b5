"""Locations of files: a local folder or a URI. This is the only module that parses URIs.

`s3://bucket/prefix?endpoint_override=host:port&scheme=http&region=eu-west-1`: the options after the question mark say
how to reach the store, so the name of a file is inserted before them. Credentials are not part of a URI: the AWS client
finds them in its standard variables and files.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, unquote, urlsplit

from visdiv_assets.errors import StorageError, without_secrets

if TYPE_CHECKING:
    import pyarrow.fs as pafs

#: Timeouts in seconds, for connecting to S3 and for a response, after which a request is retried.
CONNECT_SECONDS = 5.0
SILENT_SECONDS = 30.0
#: Maximum attempts of a request to S3, with growing pauses.
ATTEMPTS = 5

#: Options that an S3 URI may have after the question mark.
_OPTIONS = ("endpoint_override", "scheme", "region")


def is_uri(location: str) -> bool:
    """Return whether a location is a URI of a remote store; `file://` is local."""
    return "://" in location and not location.startswith("file://")


def local_folder(location: str) -> Path:
    """Return a local location, a path or a `file://` URI, as an absolute path."""
    path = unquote(urlsplit(location).path) if location.startswith("file://") else location
    return Path(path).absolute()


def join(location: str, name: str) -> str:
    """Return the location of a file or folder in a location: `s3://b/p?region=x`, `a` -> `s3://b/p/a?region=x`."""
    if not is_uri(location):
        return str(local_folder(location) / name)
    base, mark, options = location.partition("?")
    return f"{base.rstrip('/')}/{name}{mark}{options}"


def display(location: str) -> str:
    """Return a location as messages show it, without options and credentials."""
    return without_secrets(location.partition("?")[0].rstrip("/")) if is_uri(location) else location


def check(location: str) -> None:
    """Check a URI without connecting to the store; folders always pass.

    Raises:
        StorageError: the URI contains credentials; an S3 URI names no bucket or has unknown options.
    """
    if is_uri(location) and without_secrets(location) != location:
        raise StorageError(
            f"{display(location)}: a URI must not contain credentials, because it is shown in logs: set "
            "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"
        )
    if location.startswith("s3://"):
        _parse_s3(location)


def check_web_address(address: str) -> None:
    """Check the address of a server without connecting to it.

    Raises:
        ValueError: it is no address of HTTP, or has a user, a password, options or a fragment. The message does not
            repeat it.
    """
    try:
        parts = urlsplit(address)
        _ = parts.port
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("it must be an address such as http://localhost:8000/v1")
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise ValueError("it must not contain a user, a password, ? or #, because it is shown in logs")


def open_filesystem(location: str) -> tuple[pafs.FileSystem, str]:
    """Return the file system of a location and the path in it, without connecting to a store.

    Raises:
        StorageError: the URI cannot be parsed.
    """
    import pyarrow as pa
    import pyarrow.fs as pafs

    if not is_uri(location):
        return pafs.LocalFileSystem(), str(local_folder(location))
    check(location)
    if location.startswith("s3://"):
        return _open_s3(location)
    try:
        filesystem, root = pafs.FileSystem.from_uri(location)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError) as error:
        raise StorageError(
            f"{display(location)} cannot be opened ({error}): use a folder or s3://bucket/prefix"
        ) from error
    return filesystem, root.rstrip("/")


def _open_s3(location: str) -> tuple[pafs.FileSystem, str]:
    import pyarrow.fs as pafs

    path, options = _parse_s3(location)
    filesystem = pafs.S3FileSystem(
        region=options.get("region"),
        endpoint_override=options.get("endpoint_override"),
        scheme=options.get("scheme"),
        connect_timeout=CONNECT_SECONDS,
        request_timeout=SILENT_SECONDS,
        retry_strategy=pafs.AwsStandardS3RetryStrategy(max_attempts=ATTEMPTS),
        # With a delayed open, a small file is one request. Without background writes, a file whose upload fails would
        # still appear, truncated.
        allow_delayed_open=True,
        background_writes=True,
    )
    return filesystem, path


def _parse_s3(location: str) -> tuple[str, dict[str, str]]:
    """Return bucket and prefix as one path, and the options."""
    parts = urlsplit(location)
    options = dict(parse_qsl(parts.query))
    unknown = [name for name in options if name not in _OPTIONS]
    if options.get("scheme", "https") not in ("http", "https"):
        unknown = [f"scheme={options['scheme']}"]
    if unknown:
        raise StorageError(
            f"{display(location)}: unknown option {unknown[0]!r}: options after the question mark are "
            f"{', '.join(_OPTIONS)} (the scheme is http or https)"
        )
    # Characters such as # and :, which end the name for urlsplit, cannot be in a bucket's name.
    bucket = parts.netloc
    if not bucket or parts.fragment or "//" in parts.path.rstrip("/"):
        raise StorageError(
            f"{location.partition('?')[0]!r} does not name a bucket and a prefix: use s3://bucket/prefix"
        )
    return unquote(f"{bucket}{parts.path.rstrip('/')}"), options
