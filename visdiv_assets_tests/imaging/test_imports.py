from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize("module", ["identity", "decode", "resize", "contact_sheet"])
def test_importing_does_not_load_pillow(module: str) -> None:
    code = f"import sys, visdiv_assets.imaging.{module}; sys.exit('PIL' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
