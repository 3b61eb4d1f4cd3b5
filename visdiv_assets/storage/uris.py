"""Where files lie: a local folder, or a URI. A URI is taken apart here and nowhere else.

`s3://bucket/prefix?endpoint_override=host:port&scheme=http&region=eu-west-1`: what follows the question mark says how
to reach the store, so a name below the place is put before it. Credentials are not part of it: the AWS client finds
them in its standard variables and files.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, unquote, urlsplit

from visdiv_assets.errors import StorageError

if TYPE_CHECKING:
    import pyarrow.fs as pafs

#: Seconds for a connection, and without a byte after it, until a request to S3 is tried again.
CONNECT_SECONDS = 5.0
SILENT_SECONDS = 30.0
#: Times that a request to S3 is tried, with growing pauses.
ATTEMPTS = 5

#: What may follow the question mark of an S3 URI.
_OPTIONS = ("endpoint_override", "scheme", "region")


def is_uri(place: str) -> bool:
    """Whether a place is a URI that is no local folder."""
    return "://" in place and not place.startswith("file://")


def local_folder(place: str) -> Path:
    """A place that is no URI, or one of `file://`, as an absolute path."""
    path = unquote(urlsplit(place).path) if place.startswith("file://") else place
    return Path(path).absolute()


def join(place: str, name: str) -> str:
    """The place of a folder or file below a place: `s3://b/p?region=x`, `lake` -> `s3://b/p/lake?region=x`."""
    if not is_uri(place):
        return str(local_folder(place) / name)
    base, mark, options = place.partition("?")
    return f"{base.rstrip('/')}/{name}{mark}{options}"


def display(place: str) -> str:
    """A place as lines for people name it, without how it is reached."""
    return place.partition("?")[0].rstrip("/") if is_uri(place) else place


def check(place: str) -> None:
    """Refuse a URI that cannot be one, before anything is done with it.

    Raises:
        StorageError: it is one of S3, and names no bucket, holds credentials or has options that are not understood.
    """
    if place.startswith("s3://"):
        _taken_apart(place)


def open_filesystem(place: str) -> tuple[pafs.FileSystem, str]:
    """The file system of a place, and the path in it. Nothing is asked of a store yet.

    Raises:
        StorageError: it is a URI that is not understood.
    """
    import pyarrow as pa
    import pyarrow.fs as pafs

    if not is_uri(place):
        return pafs.LocalFileSystem(), str(local_folder(place))
    if place.startswith("s3://"):
        return _opened_s3(place)
    try:
        filesystem, root = pafs.FileSystem.from_uri(place)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError) as error:
        raise StorageError(
            f"{display(place)} cannot be opened ({error}): give a folder or s3://bucket/prefix"
        ) from error
    return filesystem, root.rstrip("/")


def _opened_s3(place: str) -> tuple[pafs.FileSystem, str]:
    import pyarrow.fs as pafs

    path, options = _taken_apart(place)
    filesystem = pafs.S3FileSystem(
        region=options.get("region"),
        endpoint_override=options.get("endpoint_override"),
        scheme=options.get("scheme"),
        connect_timeout=CONNECT_SECONDS,
        request_timeout=SILENT_SECONDS,
        retry_strategy=pafs.AwsStandardS3RetryStrategy(max_attempts=ATTEMPTS),
        # A small file is one request. Written without the background, a file whose upload fails would still appear,
        # cut off.
        allow_delayed_open=True,
        background_writes=True,
    )
    return filesystem, path


def _taken_apart(place: str) -> tuple[str, dict[str, str]]:
    """Bucket and prefix as one path, and the options."""
    parts = urlsplit(place)
    options = dict(parse_qsl(parts.query))
    unknown = [name for name in options if name not in _OPTIONS]
    if options.get("scheme", "https") not in ("http", "https"):
        unknown = [f"scheme={options['scheme']}"]
    if unknown:
        raise StorageError(
            f"{display(place)}: {unknown[0]!r} is not understood: after the question mark give {', '.join(_OPTIONS)} "
            "(http or https is the scheme)"
        )
    # A character such as # or : ends the name for urlsplit; no bucket has one.
    bucket = parts.netloc
    if "@" in bucket:
        raise StorageError(
            f"s3://{bucket.rpartition('@')[2]}: credentials do not belong into a URI, which is shown: set "
            "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"
        )
    if not bucket or parts.fragment or "//" in parts.path.rstrip("/"):
        raise StorageError(f"{place.partition('?')[0]!r} does not name a bucket and a prefix: give s3://bucket/prefix")
    return unquote(f"{bucket}{parts.path.rstrip('/')}"), options
