"""The notebook of the documentation: run it, and record what its cells print.

    python -m visdiv_assets_tests.testing.notebooks

runs the notebook in an empty folder and writes the outputs into it.
"""

from __future__ import annotations

import ast
import contextlib
import io
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

NOTEBOOK = Path(__file__).parents[2] / "docs" / "guides" / "library.ipynb"


def cells() -> list[dict[str, Any]]:
    """Return the cells with code, in order."""
    read = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    return [cell for cell in read["cells"] if cell["cell_type"] == "code"]


def run(sources: list[str], folder: Path) -> Iterator[tuple[str, str]]:
    """Run cells one after the other in a folder, as Jupyter does.

    Yields:
        for each cell, what it prints on standard output, and the `repr` of its last line if that is an expression with
        a value; empty if not.
    """
    before = Path.cwd()
    os.chdir(folder)
    try:
        names: dict[str, Any] = {"__name__": "__main__"}
        for source in sources:
            yield _run_cell(source, names)
    finally:
        os.chdir(before)


def _run_cell(source: str, names: dict[str, Any]) -> tuple[str, str]:
    tree = ast.parse(source)
    last = tree.body[-1] if tree.body else None
    if isinstance(last, ast.Expr):
        tree.body.pop()
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(tree, str(NOTEBOOK), "exec"), names)
        value = (
            eval(compile(ast.Expression(last.value), str(NOTEBOOK), "eval"), names)
            if isinstance(last, ast.Expr)
            else None
        )
    return printed.getvalue(), "" if value is None else repr(value)


def recorded(cell: dict[str, Any]) -> tuple[str, str]:
    """Return what the notebook says that a cell prints, and the value that it shows."""
    printed = shown = ""
    for output in cell["outputs"]:
        if output["output_type"] == "stream":
            printed += "".join(output["text"])
        else:
            shown += "".join(output["data"]["text/plain"])
    return printed, shown


def record() -> None:
    """Run the notebook and write the outputs into it."""
    notebook = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    with tempfile.TemporaryDirectory() as folder:
        found = list(run(["".join(cell["source"]) for cell in code], Path(folder)))
    for number, (cell, (printed, shown)) in enumerate(zip(code, found, strict=True), 1):
        cell["execution_count"] = number
        cell["outputs"] = []
        if printed:
            stream = {"name": "stdout", "output_type": "stream", "text": printed.splitlines(keepends=True)}
            cell["outputs"].append(stream)
        if shown:
            data = {"text/plain": shown.splitlines(keepends=True)}
            result = {"data": data, "execution_count": number, "metadata": {}, "output_type": "execute_result"}
            cell["outputs"].append(result)
    NOTEBOOK.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    record()
