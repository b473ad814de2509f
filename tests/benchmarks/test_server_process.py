"""A server's process: why it is not ready, and that nothing of it is left."""

import subprocess
import sys

import psutil

from benchmarks.server_process import end_server, sum_memory, wait_until_ready

NOWHERE = "http://127.0.0.1:9"  # no server listens on the port for "discard"
PARENT = (
    "import subprocess, sys; c = [sys.executable, '-c', 'input()'];"
    "p = subprocess.Popen(c, stdin=subprocess.PIPE); print(p.pid, flush=True); p.wait()"
)

SHARED_MIB = 128
SHARING = (
    "import mmap, os, sys; m = mmap.mmap(-1, int(sys.argv[1]) << 20); m.write(bytes(len(m)));"
    "is_parent = os.fork(); m[::4096]; is_parent or print(flush=True);"
    "os.waitpid(is_parent, 0) if is_parent else input()"
)


def test_a_process_that_ended_is_not_waited_for() -> None:
    process = subprocess.Popen([sys.executable, "-c", "raise SystemExit(3)"])
    assert wait_until_ready(process, NOWHERE, 60) == "ended with 3"


def test_the_wait_for_a_silent_server_is_bounded() -> None:
    command = [sys.executable, "-c", "input()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
        assert wait_until_ready(process, NOWHERE, 0) == "is not ready after 0 s"
        end_server(process, 20)
        assert process.returncode is not None


def test_what_a_server_has_started_ends_with_it() -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        child = psutil.Process(int(process.stdout.readline()))
        end_server(process, 20)
        assert psutil.wait_procs([child], timeout=20)[1] == []


def test_memory_that_processes_share_is_counted_once() -> None:
    command = [sys.executable, "-c", SHARING, str(SHARED_MIB)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe) as process:
        assert process.stdout is not None
        process.stdout.readline()  # both have read all of it
        parent = psutil.Process(process.pid)
        (child,) = parent.children()
        resident = sum(each.memory_info().rss for each in (parent, child)) / 2**20
        assert SHARED_MIB < sum_memory(parent) < 1.5 * SHARED_MIB
        end_server(process, 20)
    assert resident > 2 * SHARED_MIB
