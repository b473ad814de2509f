"""Environments with a wheel of this checkout, made as its users make them."""

import subprocess
from pathlib import Path

from tests.house.sources import ROOT


def make_environment(name: str) -> Path:
    """Build the wheel of the folder `name` of ``deploy``, and return an environment that has it."""
    made = subprocess.run(
        [ROOT / "deploy" / name / "environment.sh"],
        capture_output=True,
        text=True,
        check=False,
        timeout=500,
    )
    assert made.returncode == 0, made.stderr
    return Path(made.stdout.splitlines()[-1])
