"""A server without keys serves its own machine only, unless the operator allows others."""

import socket
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.keys.anonymous import AnonymousError, check_listener
from server.keys.loopback import is_loopback, parse_host
from server.process.exit import ExitCode
from server.serve import bind_listener
from tests.server.conftest import Serve, make_services
from tests.server.keys.conftest import KeyFile, call, open_client

EVERYWHERE = ["0.0.0.0", "::"]


def check(**options: object) -> None:
    services = make_services(port=0, **options)
    with bind_listener(services.settings.host, 0) as listener:
        check_listener(services.settings, services.keys, listener)


@pytest.mark.parametrize("host", EVERYWHERE)
def test_without_keys_only_loopback_may_be_listened_on(host: str) -> None:
    if host == "::" and not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    with pytest.raises(AnonymousError) as refused:
        check(host=host)
    for way_out in ("--keys-file", "--host 127.0.0.1", "--allow-anonymous"):
        assert way_out in str(refused.value)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "localhost"])
def test_without_keys_this_machine_is_served(host: str) -> None:
    check(host=host)


def test_with_keys_or_allow_anonymous_any_address_may_be_listened_on(key_file: KeyFile) -> None:
    check(host=EVERYWHERE[0], keys_file=str(key_file.path))
    check(host=EVERYWHERE[0], allow_anonymous=True)


def run_server(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a server that must exit before it loads a model."""
    line = [sys.executable, "-m", "server", "--port", "0", *arguments]
    return subprocess.run(line, capture_output=True, text=True, timeout=400)


def test_the_refusal_exits_with_the_usage_code(key_file: KeyFile) -> None:
    refused = run_server("--host", EVERYWHERE[0])
    assert refused.returncode == ExitCode.USAGE
    assert "--allow-anonymous" in refused.stderr
    key_file.path.write_text("nonsense")
    refused = run_server("--keys-file", str(key_file.path))
    assert refused.returncode == ExitCode.USAGE
    assert str(key_file.path) in refused.stderr


OWN_NAMES = ["localhost", "localhost:8000", "LOCALHOST", "127.0.0.1", "127.9.9.9:1", "[::1]:80"]
OTHER_NAMES = ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "10.0.0.1",
               "", "[", "[::1", "[::1]x", "localhost:80:80", "::1", "a@localhost",
               "127.0.0.1@evil.example"]  # fmt: skip


@pytest.mark.parametrize("name", OTHER_NAMES)
async def test_a_page_whose_name_resolves_to_this_machine_is_refused(
    serve: Serve, name: str
) -> None:
    served = serve()
    async with open_client(served, url="http://127.0.0.1") as client:
        for path in ("/v1/models", "/metrics", "/openapi.json"):
            refused = await client.get(path, headers={"host": name})
            assert (refused.status_code, refused.json()["error"]["code"]) == (403, "not_allowed")
        assert (await client.get("/health", headers={"host": name})).status_code == 200


@pytest.mark.parametrize("name", OWN_NAMES)
async def test_this_machines_own_names_are_answered(serve: Serve, name: str) -> None:
    async with open_client(serve(), url="http://127.0.0.1") as client:
        assert (await client.get("/v1/models", headers={"host": name})).status_code == 200


async def test_every_host_header_must_name_this_machine(serve: Serve) -> None:
    headers = [("host", "localhost"), ("host", "evil.example")]
    async with open_client(serve(), url="http://127.0.0.1") as client:
        assert (await client.get("/v1/models", headers=headers)).status_code == 403


async def test_the_operator_can_allow_any_name(serve: Serve) -> None:
    async with open_client(serve(allow_anonymous=True), url="http://127.0.0.1") as client:
        response = await client.get("/v1/models", headers={"host": "models.example"})
    assert response.status_code == 200


@given(st.text(max_size=40) | st.from_regex(r"\[?[a-f0-9:.%]{0,12}\]?(:\d*)?", fullmatch=True))
def test_any_host_header_is_parsed(header: str) -> None:
    if is_loopback(parse_host(header)):
        name = header.strip().strip("[").lower()
        assert name.startswith(("localhost", "127.", "::1", "0", ":", "::ffff:127."))


async def test_a_request_without_a_host_is_refused(serve: Serve) -> None:
    assert await call(serve().app, [], address="127.0.0.1") == 403
