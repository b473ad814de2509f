"""Two trees are measured in turns, and compared round by round."""

import os
import subprocess
import sys
from pathlib import Path

from benchmarks.earlier import compare, find_modules_in, take_turns

EARLIER, NOW = Path("earlier"), Path("now")


def test_every_second_round_begins_with_the_other_tree() -> None:
    measured: list[Path] = []

    def measure(tree: Path) -> dict[str, float]:
        measured.append(tree)
        return {"tree": float(tree == NOW)}

    for number in range(2):
        assert take_turns((EARLIER, NOW), number, measure) == ({"tree": 0.0}, {"tree": 1.0})
    assert measured == [EARLIER, NOW, NOW, EARLIER]


def test_ratios_are_of_one_round() -> None:
    """The machine was three times as slow in the second round: the ratio is what it was."""
    rounds = [({"step": 10.0}, {"step": 20.0}), ({"step": 30.0}, {"step": 60.0})]
    assert "| step | 20.0 | 40.0 | 2.00 × (2.00–2.00) |" in compare(rounds)


def test_a_tree_runs_its_own_modules(tmp_path: Path) -> None:
    package = tmp_path / "thinking"
    package.mkdir()
    (package / "__init__.py").touch()
    done = subprocess.run(
        [sys.executable, "-P", "-c", "import thinking; print(thinking.__file__)"],
        env=os.environ | find_modules_in(tmp_path),
        check=True,
        capture_output=True,
        text=True,
    )
    assert done.stdout.strip() == str(package / "__init__.py")
