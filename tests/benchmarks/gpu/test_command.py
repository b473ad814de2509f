"""The command: what it leaves behind, and what it never does."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmarks.gpu.__main__ import main
from benchmarks.gpu.processes import kill_session, list_session
from tests.server.conftest import TOKENIZER

# Starts a process in a process group of its own, as vLLM does with its engine.
PARENT = """
import subprocess, sys, time
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], process_group=0)
print("started", flush=True)
time.sleep(600)
"""


def test_nothing_of_a_stopped_stage_survives() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", PARENT], stdout=subprocess.PIPE, start_new_session=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"started\n"
    assert len(list_session(process.pid)) == 2
    kill_session(process)
    until = time.monotonic() + 20
    while list_session(process.pid):
        assert time.monotonic() < until, "a process of the session is still there"
    process.stdout.close()


def test_a_run_without_enough_time_starts_nothing_and_says_so(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    TOKENIZER.save_pretrained(tmp_path / "tokenizer")
    arguments = ["--device", "cpu", "--minutes", "0.1", "--output", str(tmp_path / "gpu")]
    assert main([*arguments, "--tokenizer", str(tmp_path / "tokenizer")]) == 0
    page = (tmp_path / "gpu" / "results.md").read_text()
    assert "stage step: skipped: too little time is left" in page
    assert "stage speculative: skipped" in page
    assert not list((tmp_path / "gpu").glob("*.log"))
    assert "none: a trial on the CPU" in capfd.readouterr().out


def test_an_unknown_stage_is_refused(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--stages", "stop"])
    assert "'stop' is none of step, engine" in capfd.readouterr().err


def test_the_stages_can_be_listed(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["--list"]) == 0
    assert capfd.readouterr().out.startswith("step: a step of the sampler")
