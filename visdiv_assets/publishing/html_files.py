"""Functions that all HTML pages share: templates, the content policy that forbids requests, and writing the file."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import jinja2

from visdiv_assets.storage.error_messages import write_error
from visdiv_assets.storage.files import replace_local

_FOLDER = Path(__file__).parent / "template"
_NONE = "'none'"


@cache
def template(name: str) -> jinja2.Template:
    """Load a template of the folder `template/`. It escapes all values and raises on undefined names."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(name)


@cache
def read_template(name: str) -> str:
    """Read a style sheet or script of the folder `template/`."""
    return (_FOLDER / name).read_text(encoding="utf-8")


def content_policy(styles: Iterable[str], *scripts: str) -> str:
    """Return a Content-Security-Policy that forbids all requests, and all styles and scripts but the given ones."""
    allowed = " ".join(map(_digest, styles))
    return (
        f"default-src 'none'; img-src data:; style-src {allowed}; "
        f"script-src {' '.join(map(_digest, scripts)) or _NONE}; base-uri 'none'; form-action 'none'"
    )


def script_json(value: object) -> str:
    """Return a value as JSON without <, > and &, so that no text in it can end the script element."""
    written = json.dumps(value, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
    return written.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def write_page(page: str, path: Path) -> int:
    """Write a page to a file in one atomic step, creating its folder if needed, and return its size in bytes.

    Raises:
        StorageError: the file cannot be written.
    """
    data = page.encode()
    try:
        with replace_local(path) as stream:
            stream.write(data)
    except OSError as error:
        raise write_error(str(path), error) from error
    return len(data)


def _digest(content: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"
