"""What is this machine itself: addresses, and the names in a Host header.

The name matters beside the address: a web page's name can be pointed at this machine (DNS
rebinding), and the reader's browser then takes our answers for the page's own.
"""

import ipaddress
import re

from starlette.types import Scope

_HOST = re.compile(r"(?:\[(?P<v6>[^\[\]]*)\]|(?P<name>[^:\[\]]*))(?::[0-9]*)?")


def is_loopback(host: str) -> bool:
    """Whether an address or a name, without a port, is this machine's own."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return False


def host_name(header: str) -> str:
    """The name in a Host header, without port and brackets; "" where it is malformed."""
    found = _HOST.fullmatch(header.strip())
    return (found["v6"] or found["name"] or "").lower() if found else ""


def host_names(scope: Scope) -> list[str]:
    """Those of all Host headers."""
    values = [value for name, value in scope["headers"] if name == b"host"]
    return [host_name(value.decode("latin-1")) for value in values]


def came_in_by_loopback(scope: Scope) -> bool:
    """Whether the connection's own end is a loopback address."""
    server = scope.get("server")
    return server is not None and is_loopback(str(server[0] or ""))
