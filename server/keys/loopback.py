"""Recognises this machine: loopback addresses, and names in a Host header.

The name matters as well as the address: a web page's host name can be made to resolve to this
machine (DNS rebinding), and the browser then treats our responses as the page's own.
"""

import ipaddress
import re

from starlette.types import Scope

_HOST = re.compile(r"(?:\[(?P<v6>[^\[\]]*)\]|(?P<name>[^:\[\]]*))(?::[0-9]*)?")


def is_loopback(host: str) -> bool:
    """Return whether an address or a name, without a port, is this machine's own."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return False


def parse_host(header: str) -> str:
    """Return the name in a Host header, without port and brackets; "" if it is malformed."""
    found = _HOST.fullmatch(header.strip())
    return (found["v6"] or found["name"] or "").lower() if found else ""


def read_host_names(scope: Scope) -> list[str]:
    """Return the names in all Host headers of a request."""
    values = [value for name, value in scope["headers"] if name == b"host"]
    return [parse_host(value.decode("latin-1")) for value in values]


def is_loopback_connection(scope: Scope) -> bool:
    """Return whether the server's end of the connection is a loopback address."""
    server = scope.get("server")
    return server is not None and is_loopback(str(server[0] or ""))
