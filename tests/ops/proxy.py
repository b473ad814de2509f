"""A real nginx with a configuration of deploy/nginx, in front of servers on given ports.

Knows nothing about those servers.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.house.sources import ROOT
from tests.ops import programs

NGINX = ROOT / "deploy" / "nginx" / "nginx.conf"
OF_ENGINES = NGINX.with_name("engines.conf")


def rendered(server_ports: Sequence[int], port: int, folder: Path, source: Path = NGINX) -> Path:
    """Write the configuration for servers on loopback and return its path.

    nginx listens on `port` and writes below `folder`.
    """
    # Longer than a test: a failed server stays excluded, however slow the machine is, and a slow
    # one is not taken for a failed one.
    line = "server 127.0.0.1:{} max_fails=1 fail_timeout=60s;"
    servers = "\n".join(line.format(server_port) for server_port in server_ports)
    names = r"(server (thinking-server|engine)-\d+:8000 .*;\s*)+"
    text = re.sub(names, f"{servers}\n", source.read_text())
    text = re.sub(r"listen 8[01]\d0", f"listen 127.0.0.1:{port}", text)
    text = text.replace("proxy_read_timeout 3s", "proxy_read_timeout 60s")
    text = text.replace("/tmp/nginx", f"{folder}/nginx").replace(
        "worker_processes auto", "worker_processes 1"
    )
    text = text.replace("/dev/stdout", f"{folder}/access.log")
    path = folder / "nginx.conf"
    path.write_text(text)
    return path


@contextmanager
def nginx(server_ports: Sequence[int], folder: Path, source: Path = NGINX) -> Iterator[str]:
    """Run nginx and yield the URL for clients."""
    port = programs.free_port()
    path = rendered(server_ports, port, folder, source)
    command = ["nginx", "-c", str(path), "-p", str(folder), "-g", "daemon off;"]
    with programs.running(command, folder / "nginx.log", lambda: programs.listens(port)):
        yield f"http://127.0.0.1:{port}"
