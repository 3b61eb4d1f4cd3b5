"""The commands of the tutorial and what they print.

    python -m visdiv_assets_tests.testing.tutorial EMPTY_FOLDER

runs them in a folder and prints each with its whole output, to be shortened by hand in docs/tutorial.md.
"""

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]
TUTORIAL = CHECKOUT / "docs" / "tutorial.md"

#: The folder that the tutorial shows in the place of the one in which it is run.
FOLDER_SHOWN = "/home/you/tutorial"

_BLOCK = re.compile(r"```bash\n(?P<command>.*?)```\n(?:\n```text\n(?P<output>.*?)```\n)?", re.DOTALL)
_LEFT_OUT = "...\n"
#: What differs from run to run: seconds, rates and moments.
_TIMES = re.compile(r"\d+(\.\d+)? (s|ms)\b|\d+(\.\d+)? per second|\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00")
_BETWEEN = "\x1e\n"


@dataclass(frozen=True)
class Step:
    """A command of the tutorial, which may have several lines, and the output that is shown below it."""

    command: str
    output: str


def steps() -> list[Step]:
    """All commands, in order."""
    found = _BLOCK.finditer(TUTORIAL.read_text(encoding="utf-8"))
    return [Step(match["command"], match["output"] or "") for match in found]


def run(commands: list[str], folder: Path) -> list[str]:
    """What commands print, run by one shell in a folder, as a reader would; what they set stays set.

    Raises:
        AssertionError: one of them fails.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith("VISDIV_")}
    environment |= {
        "CHECKOUT": str(CHECKOUT),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}",
        "HF_HOME": str(folder / ".huggingface"),
    }
    script = f"printf '{_BETWEEN[0]}\\n'\n".join(commands)
    ran = subprocess.run(
        ["bash", "-eu", "-o", "pipefail", "-c", script], cwd=folder, env=environment, capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout.replace(str(folder), FOLDER_SHOWN).split(_BETWEEN)


def differences(shown: str, printed: str) -> list[str]:
    """The parts of an output as shown that were not printed, in order; times and the ends of lines do not count."""
    rest = _plain(printed)
    parts = _plain(shown).split(_LEFT_OUT)
    missing = []
    for number, part in enumerate(parts):
        place = rest.find(part)
        is_whole = (number > 0 or place == 0) and (number + 1 < len(parts) or rest.endswith(part))
        if place < 0 or not is_whole:
            missing.append(part)
        rest = rest[place + len(part) :] if place >= 0 and number + 1 < len(parts) else rest
    return missing


def _plain(text: str) -> str:
    return "".join(_TIMES.sub("TIME", line).rstrip() + "\n" for line in text.splitlines())


if __name__ == "__main__":
    _commands = [step.command for step in steps()]
    for _command, _printed in zip(_commands, run(_commands, Path(sys.argv[1]).resolve()), strict=True):
        sys.stdout.write(f"```bash\n{_command}```\n\n```text\n{_printed}```\n\n")
