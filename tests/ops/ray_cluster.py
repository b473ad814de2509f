"""A real Ray Serve on loopback, with deploy/ray/serve.yaml changed to what a test can hold.

Ray runs in its own environment (``deploy/client-env.sh ray``), which is installed here if it can
be. All its processes are descendants of one, which is ended by its pid.
"""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from tests.e2e.process import ONE_THREAD
from tests.house.sources import ROOT
from tests.ops.programs import free_port

CONFIG = ROOT / "deploy" / "ray" / "serve.yaml"
RAY = ROOT / ".cache" / "clients" / "ray" / "bin"
INSTALL_SECONDS = 300.0
START_SECONDS = 300.0
DEPLOY_SECONDS = 300.0
END_SECONDS = 30.0
HEALTH_CHECK_SECONDS = 40.0
NUM_REPLICAS = 2
# One more replica, while the old ones are replaced.
NUM_CPUS = 3
SETTINGS: Mapping[str, Any] = {
    "model": "thinker",
    "allow_anonymous": True,
    "drain_seconds": 20,
    "keep_alive_seconds": 0.1,
}
ENGINE: Mapping[str, Any] = {
    "enforce_eager": True,
    "max_num_seqs": 16,
    "kv_cache_memory_bytes": 64 * 2**20,
}


def install_ray() -> None:
    """Install Ray; skip the test where that is not possible."""
    command = [str(ROOT / "deploy" / "client-env.sh"), "ray"]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False
    )
    if done.returncode:
        pytest.skip(f"Ray cannot be installed here: {done.stderr}")


@dataclass(frozen=True, slots=True)
class Cluster:
    """A cluster of one node. `folder` is short: Ray's sockets are in it."""

    process: "subprocess.Popen[bytes]"
    folder: Path
    environment: Mapping[str, str]
    http_port: int

    @property
    def url(self) -> str:
        """The URL of Ray's HTTP proxy."""
        return f"http://127.0.0.1:{self.http_port}"

    def deploy(self, name: str) -> None:
        """Deploy the server under the name `name`, and return before it is ready."""
        path = self.folder / f"{name}.yaml"
        path.write_text(yaml.safe_dump(make_config(self.http_port, name)), encoding="utf-8")
        self.run("serve", "run", "--non-blocking", str(path))

    def run(self, *command: str) -> str:
        """Return the output of one of Ray's commands, which must succeed."""
        done = subprocess.run(
            [RAY / command[0], *command[1:]],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=DEPLOY_SECONDS,
            check=False,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout

    def find_replicas(self) -> list[psutil.Process]:
        """Return the processes of the replicas, whether or not they are ready."""
        found = psutil.Process(self.process.pid).children(recursive=True)
        return [one for one in found if "ray::ServeReplica" in _read_title(one)]

    def read_logs(self) -> str:
        """Return what the controller and the replicas have written."""
        paths = sorted((self.folder / "t" / "session_latest" / "logs").glob("serve/*.log"))
        return "\n".join(f"{path.name}\n{path.read_text(errors='replace')}" for path in paths)


def make_config(http_port: int, name: str) -> dict[str, Any]:
    """Return deploy/ray/serve.yaml for two small replicas, whose model is called `name`."""
    config: dict[str, Any] = yaml.safe_load(CONFIG.read_text(encoding="utf-8"))
    config["http_options"]["port"] = http_port
    config["proxy_location"] = "HeadOnly"
    (application,) = config["applications"]
    settings = {**SETTINGS, "served_model_name": [name], "accept_any_model_name": True}
    # In the place of Redis: this test asks for nothing that replicas share.
    application["args"] = {"settings": settings, "engine": dict(ENGINE), "separate_state": True}
    (deployment,) = application["deployments"]
    deployment["ray_actor_options"] = {"num_cpus": 1}
    deployment["health_check_period_s"] = HEALTH_CHECK_SECONDS
    deployment["autoscaling_config"] |= {"max_replicas": NUM_REPLICAS}
    return config


@contextmanager
def running_cluster() -> Iterator[Cluster]:
    """Start Ray on loopback, and end all its processes when the context exits."""
    install_ray()
    folder = Path(tempfile.mkdtemp(prefix="ray"))
    port = free_port()
    environment = make_environment(folder, port)
    with (folder / "log.txt").open("wb") as log:
        process = subprocess.Popen(
            _make_command(folder, port),
            cwd=folder,
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    cluster = Cluster(process, folder, environment, free_port())
    try:
        _wait_started(cluster)
        yield cluster
    finally:
        _end(process)
        shutil.rmtree(folder, ignore_errors=True)


def make_environment(folder: Path, port: int) -> dict[str, str]:
    """Return all variables of Ray's processes: of ours they see none."""
    return {
        "HOME": str(folder),
        "PATH": os.pathsep.join([str(RAY), "/usr/bin", "/bin"]),
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(CONFIG.parent)]),
        "RAY_ADDRESS": f"127.0.0.1:{port}",
        "RAY_USAGE_STATS_ENABLED": "0",
        # Without it a node listens on all addresses, also where it is told 127.0.0.1.
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
        "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S": "0",
        **ONE_THREAD,
    }


def _make_command(folder: Path, port: int) -> list[str | Path]:
    return [
        RAY / "ray",
        "start",
        "--head",
        "--block",
        "--node-ip-address=127.0.0.1",
        f"--port={port}",
        f"--ray-client-server-port={free_port()}",
        f"--num-cpus={NUM_CPUS}",
        f"--object-store-memory={100 * 2**20}",
        "--include-dashboard=false",
        "--disable-usage-stats",
        f"--temp-dir={folder / 't'}",
    ]


def _wait_started(cluster: Cluster) -> None:
    until = time.monotonic() + START_SECONDS
    log = cluster.folder / "log.txt"
    while "Ray runtime started" not in log.read_text(errors="replace"):
        if cluster.process.poll() is not None or time.monotonic() > until:
            pytest.fail(f"Ray does not start:\n{log.read_text(errors='replace')}")
        time.sleep(0.1)


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End the node; what is left of its descendants is killed."""
    descendants = psutil.Process(process.pid).children(recursive=True)
    process.terminate()
    try:
        process.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    _, alive = psutil.wait_procs(descendants, timeout=END_SECONDS)
    for one in alive:
        one.kill()


def _read_title(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return ""
