"""A real Prometheus and a real Alertmanager on loopback, with the files of deploy/.

Changes only addresses, the paths of secrets, and durations in these files.
"""

import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from tests.ops import programs
from tests.ops.observed import ALERTMANAGER, PROMETHEUS, document

PATIENCE_SECONDS = 60.0


def until(is_so: Callable[[], Any], what: str, seconds: float = PATIENCE_SECONDS) -> Any:
    """Poll until `is_so` returns something true, and return it; fail the test after `seconds`."""
    end = time.monotonic() + seconds
    while not (found := is_so()):
        if time.monotonic() > end:
            pytest.fail(f"after {seconds:g} s still not: {what}")
        time.sleep(0.2)
    return found


@dataclass(frozen=True, slots=True)
class Prometheus:
    """A running Prometheus."""

    url: str

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Return the series that `expression` evaluates to now."""
        response = httpx.get(f"{self.url}/api/v1/query", params={"query": expression}, timeout=60)
        body = response.json()
        assert body["status"] == "success", (expression, body)
        result = body["data"]["result"]
        return result if isinstance(result, list) else []

    def firing(self) -> set[str]:
        """Return the names of the firing alerts."""
        return {s["metric"]["alertname"] for s in self.query('ALERTS{alertstate="firing"}')}


def quick_rules(text: str, folder: Path) -> Path:
    """Write the rules with seconds instead of minutes, and return the path."""
    text = re.sub(r"\[\d+m\]", "[10s]", re.sub(r"for: \d+m", "for: 1s", text))
    path = folder / "quick.yml"
    path.write_text(text)
    return path


@contextmanager
def prometheus(
    folder: Path, target: str, *, rules: Path | None = None, alertmanager: int | None = None
) -> Iterator[Prometheus]:
    """Run a Prometheus that scrapes `target` (host and port) every second."""
    config = document(PROMETHEUS / "prometheus.yml")
    config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    config["rule_files"] = [str(rules or PROMETHEUS / "alerts.yml")]
    (job,) = config["scrape_configs"]
    del job["dns_sd_configs"]
    job["static_configs"] = [{"targets": [target]}]
    key = folder / "metrics_key"
    key.write_text("nobody reads it here")
    job["authorization"]["credentials_file"] = str(key)
    config["alerting"] = _alerting(alertmanager)
    path = folder / "prometheus.yml"
    path.write_text(yaml.safe_dump(config))
    port = programs.free_port()
    command = ["prometheus", f"--config.file={path}", f"--web.listen-address=127.0.0.1:{port}"]
    command += [f"--storage.tsdb.path={folder / 'data'}", "--log.level=warn"]
    url = f"http://127.0.0.1:{port}"
    with programs.running(command, folder / "prometheus.txt", lambda: _is_ready(url)):
        yield Prometheus(url)


def _alerting(port: int | None) -> dict[str, Sequence[Any]]:
    if port is None:
        return {}
    return {"alertmanagers": [{"static_configs": [{"targets": [f"127.0.0.1:{port}"]}]}]}


def _is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/-/ready", timeout=60).status_code == 200
    except httpx.TransportError:
        return False


@contextmanager
def alertmanager(folder: Path, webhook: str) -> Iterator[int]:
    """Run an Alertmanager that delivers to `webhook` at once; yield its port."""
    text = re.sub(r"url_file: .*", f"url: {webhook}", ALERTMANAGER.read_text())
    text = re.sub(r"(group_wait|group_interval): \w+", r"\1: 1s", text)
    path = folder / "alertmanager.yml"
    path.write_text(text)
    port = programs.free_port()
    command = [*_with_templates(), f"--config.file={path}", "--cluster.listen-address="]
    command += [f"--web.listen-address=127.0.0.1:{port}", f"--storage.path={folder / 'alerts'}"]
    url = f"http://127.0.0.1:{port}"
    with programs.running(command, folder / "alertmanager.txt", lambda: _is_ready(url)):
        yield port


def _with_templates() -> list[str]:
    """Return a command that runs Alertmanager with its templates.

    Debian's Alertmanager always reads its templates from one absolute path. If it is not
    installed but fetched, that path is mounted in a separate namespace.
    """
    if Path("/usr/share/prometheus/alertmanager/default.tmpl").exists():
        return ["prometheus-alertmanager"]
    unshared = ["unshare", "--map-root-user", "--mount"]
    mounted = 'mount --bind "$0" /usr/share && exec "$@"'
    command = [*unshared, "sh", "-c", mounted, str(programs.TOOLS / "share")]
    if programs.run([*command, "true"]).returncode:
        pytest.skip("Alertmanager is not installed, and its templates cannot be mounted")
    return [*command, programs.program("prometheus-alertmanager")]


@contextmanager
def webhook() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Listen on loopback; yield the URL and the list of received JSON bodies."""
    bodies: list[dict[str, Any]] = []

    class Listener(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers["content-length"])
            bodies.append(yaml.safe_load(self.rfile.read(length)))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            pass

    listener = HTTPServer(("127.0.0.1", 0), Listener)
    thread = threading.Thread(target=listener.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.server_address[1]}/", bodies
    finally:
        listener.shutdown()
        thread.join()
        listener.server_close()
