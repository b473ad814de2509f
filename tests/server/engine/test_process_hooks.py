"""The engine's processes leave the terminal's process group and never become orphans."""

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
import torch

from server.engine.process_hooks import AMX_OFF, AMX_VARIABLE, set_up_process

PARENT = """
import multiprocessing, os, time
from server.engine.process_hooks import set_up_process

def child(reports):
    set_up_process()
    reports.put((os.getpid(), os.getpgid(0)))
    time.sleep(60)

if __name__ == "__main__":
    context = multiprocessing.get_context("spawn")
    reports = context.Queue()
    context.Process(target=child, args=(reports,), daemon=True).start()
    print(*reports.get(), flush=True)
    time.sleep(60)
"""


def test_a_killed_parent_takes_the_engine_with_it(tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        [sys.executable, script], stdout=subprocess.PIPE, text=True, env=environment
    ) as parent:
        assert parent.stdout is not None
        pid, group = (int(word) for word in parent.stdout.readline().split())
        child = psutil.Process(pid)
        assert group == pid, "Ctrl-C in the terminal would reach the engine"
        parent.kill()
    child.wait(timeout=10)  # raises where it lives on


def test_the_api_process_stays_in_its_group() -> None:
    group = os.getpgrp()
    set_up_process()
    assert os.getpgrp() == group


def test_amx_is_switched_off_only_when_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: True)
    set_up_process()
    assert torch.cpu._is_amx_tile_supported()
    monkeypatch.setenv(AMX_VARIABLE, AMX_OFF)
    set_up_process()
    assert not torch.cpu._is_amx_tile_supported()
