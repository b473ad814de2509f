"""A real nginx with the configuration of deploy/nginx, before servers on given ports.

Knows nothing of what those servers are.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.house.sources import ROOT
from tests.ops import programs

NGINX = ROOT / "deploy" / "nginx" / "nginx.conf"


def rendered(server_ports: Sequence[int], port: int, folder: Path) -> Path:
    """The configuration for servers on loopback, listening on `port`, writing below `folder`."""
    # Longer than a test: a server that was found unwell stays left out, however slow the machine.
    line = "server 127.0.0.1:{} max_fails=1 fail_timeout=60s;"
    servers = "\n".join(line.format(server_port) for server_port in server_ports)
    text = re.sub(r"(server thinking-server-\d+:8000 .*;\s*)+", f"{servers}\n", NGINX.read_text())
    text = text.replace("listen 8080", f"listen 127.0.0.1:{port}")
    text = text.replace("/tmp/nginx", f"{folder}/nginx").replace(
        "worker_processes auto", "worker_processes 1"
    )
    text = text.replace("/dev/stdout", f"{folder}/access.log")
    path = folder / "nginx.conf"
    path.write_text(text)
    return path


@contextmanager
def nginx(server_ports: Sequence[int], folder: Path) -> Iterator[str]:
    """Run it; the URL that clients use."""
    port = programs.free_port()
    path = rendered(server_ports, port, folder)
    command = ["nginx", "-c", str(path), "-p", str(folder), "-g", "daemon off;"]
    with programs.running(command, folder / "nginx.log", lambda: programs.listens(port)):
        yield f"http://127.0.0.1:{port}"
