"""The HTTP client for engines elsewhere: its connections, timeouts, certificates and key."""

import os
import ssl

import aiohttp

from server.engine.start_errors import EngineConfigError
from server.settings.settings import ServerSettings

KEY_VARIABLE = "THINKING_SERVER_ENGINE_KEY"
# vLLM closes idle connections after 5 seconds. A request that is sent at that moment is lost.
_IDLE_SECONDS = 4.0
_READ_BYTES = 2**18


def open_session(settings: ServerSettings) -> aiohttp.ClientSession:
    """Return a client for all engines. To be called where an event loop runs.

    Raises:
        EngineConfigError: the file of certificates cannot be read.
    """
    key = os.environ.get(KEY_VARIABLE)
    authorization = {"Authorization": f"Bearer {key}"} if key else {}
    connector = aiohttp.TCPConnector(
        limit=0,  # the admission queue limits requests
        ssl=_make_ssl_context(settings.engine_ca),
        keepalive_timeout=_IDLE_SECONDS,
    )
    return aiohttp.ClientSession(
        connector=connector,
        # A router that compresses a stream would keep tokens back.
        headers={"Accept-Encoding": "identity", **authorization},
        timeout=aiohttp.ClientTimeout(
            total=None,
            sock_connect=settings.engine_connect_timeout_seconds,
            sock_read=settings.engine_silence_seconds,
        ),
        read_bufsize=_READ_BYTES,
        cookie_jar=aiohttp.DummyCookieJar(),
    )


def _make_ssl_context(path: str | None) -> ssl.SSLContext | bool:
    if path is None:
        return True
    try:
        return ssl.create_default_context(cafile=path)
    except (OSError, ssl.SSLError) as error:
        raise EngineConfigError(f"--engine-ca: {path} cannot be read: {error}") from error
