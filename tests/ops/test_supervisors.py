"""Compose and systemd: mounted files exist, and the server has enough time to drain."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from server.process.exit import ExitCode
from server.settings.settings import ServerSettings
from tests.house.sources import ROOT

DEPLOY = ROOT / "deploy"
UNIT = (DEPLOY / "systemd" / "thinking-server.service").read_text(encoding="utf-8")
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
DRAIN_SECONDS = ServerSettings().drain_seconds


def seconds(text: str) -> float:
    return float(text.removesuffix("s"))


@pytest.mark.parametrize("name", SERVICES)
def test_what_is_mounted_exists(name: str) -> None:
    for volume in SERVICES[name].get("volumes", []):
        source = volume.split(":")[0]
        if source.startswith("."):
            assert (DEPLOY / source).exists(), source
        else:
            assert source in COMPOSE["volumes"]
    assert set(SERVICES[name].get("secrets", [])) <= set(COMPOSE["secrets"])


def test_the_monitoring_finds_its_secrets() -> None:
    for path in ("prometheus/prometheus.yml", "alertmanager/alertmanager.yml"):
        text = (DEPLOY / path).read_text(encoding="utf-8")
        service = SERVICES[path.split("/")[0]]
        assert set(re.findall(r"/run/secrets/(\w+)", text)) == set(service["secrets"])


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_bound_pinned_limited_and_watched(name: str) -> None:
    service = SERVICES[name]
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))
    assert re.search(r":(?!latest$)\S+$", service["image"])
    assert {"restart", "healthcheck", "mem_limit"} <= service.keys()
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]


@pytest.mark.parametrize("name", ["thinking-server", "replica"])
def test_compose_waits_longer_than_the_drain(name: str) -> None:
    service = SERVICES[name]
    assert float(service["environment"]["THINKING_SERVER_DRAIN_SECONDS"]) == DRAIN_SECONDS
    assert seconds(service["stop_grace_period"]) >= DRAIN_SECONDS + 15


def test_nginx_and_prometheus_find_all_replicas() -> None:
    named = {
        alias
        for name in ("thinking-server", "replica")
        for alias in (name, *SERVICES[name]["networks"]["default"]["aliases"])
    }
    nginx = (DEPLOY / "nginx" / "nginx.conf").read_text(encoding="utf-8")
    assert set(re.findall(r"server (\S+):8000", nginx)) <= named
    assert "thinking-server" in SERVICES["replica"]["networks"]["default"]["aliases"]


def test_gpus_are_laid_over_the_services_that_are_there() -> None:
    over = yaml.safe_load((DEPLOY / "compose.cuda.yaml").read_text(encoding="utf-8"))
    assert over["services"].keys() <= SERVICES.keys()
    targets = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    for service in (*SERVICES.values(), *over["services"].values()):
        if "build" in service:
            assert f" AS {service['build']['target']}\n" in targets


def test_systemd_starts_again_what_a_new_start_can_mend() -> None:
    assert "Restart=on-failure" in UNIT
    assert f"RestartPreventExitStatus={int(ExitCode.USAGE)}\n" in UNIT


def test_systemd_waits_longer_than_the_drain_and_writes_no_core() -> None:
    (stop,) = re.findall(r"^TimeoutStopSec=(\d+)$", UNIT, re.MULTILINE)
    assert float(stop) >= DRAIN_SECONDS + 15
    assert {"KillMode=mixed", "KillSignal=SIGTERM", "LimitCORE=0"} <= set(UNIT.splitlines())


def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("no systemd-analyze here")
    path = tmp_path / "thinking-server.service"
    text = re.sub(r"ExecStart=\S+", "ExecStart=/bin/true", UNIT)
    path.write_text(re.sub(r"^Documentation=.*\n", "", text, flags=re.MULTILINE))
    result = subprocess.run(
        [analyze, "verify", path], capture_output=True, text=True, check=False, timeout=60
    )
    # systemd only warns about settings that it does not know.
    assert (result.returncode, str(path.name) in result.stderr) == (0, False), result.stderr
