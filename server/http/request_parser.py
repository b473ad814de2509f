"""httptools' parser of requests, except that a request cannot change the protocol.

A server may ignore ``Upgrade`` (RFC 9110, section 7.8), and clients rely on it: the JDK's HTTP
client, ``curl --http2`` and some proxies send it with every request. httptools cannot: it stops at
the end of such a head, and what follows is no body for it. So the parser is restarted there with
the lines of the head that say how long the body is. Does not know what requests contain.
"""

from typing import Protocol

import httptools

# All that the parser needs to find the end of a body and to know whether another request follows.
_FRAMING = (b"content-length", b"transfer-encoding", b"connection")


class ParserTarget(Protocol):
    """The callbacks of httptools."""

    def on_message_begin(self) -> None: ...
    def on_url(self, url: bytes) -> None: ...
    def on_header(self, name: bytes, value: bytes) -> None: ...
    def on_headers_complete(self) -> None: ...
    def on_body(self, body: bytes) -> None: ...
    def on_message_complete(self) -> None: ...


class RequestParser:
    """Parses requests and calls `target`, which sees one head and one body per request.

    The head is complete for `target` only when the parser has accepted its length, of a request
    with ``Upgrade`` as of any other. Tunnels (CONNECT) are errors.
    """

    def __init__(self, target: ParserTarget) -> None:
        self._target = target
        self.on_body = target.on_body  # of chunks of one byte there are many
        self._parser = self._create_parser()
        self._framing: list[tuple[bytes, bytes]] = []
        self._in_body = False
        self._is_stopped = False  # at the end of a head with an upgrade
        self._is_restarting = False

    def feed_data(self, data: bytes) -> None:
        """Parse `data`.

        Raises:
            httptools.HttpParserError: it is not HTTP, or a callback raised.
        """
        while True:
            try:
                return self._parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                data = data[upgrade.args[0] :]
                self._restart()

    def should_upgrade(self) -> bool:
        """Return False."""
        return False

    def should_keep_alive(self) -> bool:
        """Return whether the client allows a further request on the connection."""
        return self._parser.should_keep_alive()

    def get_http_version(self) -> str:
        """Return the version of the request, such as ``1.1``."""
        return self._parser.get_http_version()

    def get_method(self) -> bytes:
        """Return the method of the request."""
        return self._parser.get_method()

    def _create_parser(self) -> httptools.HttpRequestParser:
        parser = httptools.HttpRequestParser(self)
        # As uvicorn does: a further request after `Connection: close` is no error.
        parser.set_dangerous_leniencies(lenient_data_after_close=True)
        return parser

    def _restart(self) -> None:
        """Parse the same head again, without the upgrade and without telling the target.

        With a new parser: after an upgrade, and even more so after one with `Connection: close`,
        the old one is in no state that is meant for HTTP.
        """
        if self.get_method() == b"CONNECT":  # asks for a tunnel without `Upgrade`
            raise httptools.HttpParserError("CONNECT")
        version = self.get_http_version().encode()
        lines = [b"%s / HTTP/%s" % (self.get_method(), version)]
        lines += [b"%s: %s" % line for line in self._framing]
        self._is_stopped, self._is_restarting = False, True
        self._parser = self._create_parser()
        self._parser.feed_data(b"\r\n".join([*lines, b"", b""]))

    def on_message_begin(self) -> None:
        if not self._is_restarting:
            self._framing.clear()
            self._in_body = False
            self._target.on_message_begin()

    def on_url(self, url: bytes) -> None:
        if not self._is_restarting:
            self._target.on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._is_restarting:
            return
        self._target.on_header(name, value)
        if not self._in_body and name.lower() in _FRAMING:  # trailers have no say
            self._framing.append((name, value))

    def on_headers_complete(self) -> None:
        if self._parser.should_upgrade():
            self._is_stopped = True
            return
        self._is_restarting = False
        self._in_body = True
        self._target.on_headers_complete()

    def on_message_complete(self) -> None:
        if not self._is_stopped:
            self._target.on_message_complete()
