"""Quotas on a real Redis: the same laws over two servers, and the behaviour when it dies."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from subprocess import Popen

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test
from prometheus_client import CollectorRegistry

from server.account.account import RequestAccount
from server.admission.demand import Demand
from server.cli import read_settings
from server.keys.key import AccessKey
from server.metrics import Metrics
from server.quotas.counters import Counters, MemoryCounters
from server.quotas.metrics import QuotaMetrics
from server.quotas.quotas import Quotas, QuotaStorageUnavailableError
from server.quotas.redis_counters import RedisCounters
from server.quotas.refusal import QuotaExceededError
from server.quotas.storage import PAUSE_SECONDS, QuotaStorageUrlError, open_counters
from server.settings.quota import Quota
from server.state import open_services
from tests.examples import examples
from tests.ops.programs import free_port, listens, running
from tests.server.quotas.machine import QuotaMachine

TIMEOUT_SECONDS = 5.0  # a busy machine
DEMAND = Demand(prompt_tokens=5, reasoning_tokens=10, answer_tokens=5, num_engine_requests=1)
KEY = AccessKey("team", quota=Quota(requests_per_day=10, reasoning_tokens_per_day=1000))


def redis_at(port: int, log_path: Path) -> "AbstractContextManager[Popen[bytes]]":
    """Run a Redis without persistence."""
    options = {"port": port, "bind": "127.0.0.1", "save": "", "appendonly": "no"}
    command = ["redis-server"]
    for name, value in options.items():
        command += [f"--{name}", str(value)]
    return running(command, log_path, lambda: listens(port))


@pytest.fixture
def redis_port(tmp_path: Path) -> Iterator[int]:
    """The port of a running Redis."""
    port = free_port()
    with redis_at(port, tmp_path / "redis.log"):
        yield port


def quotas_on(port: int, fallback: Counters | None = None) -> Quotas:
    """Return the quotas of one server."""
    counters = RedisCounters(f"redis://127.0.0.1:{port}", TIMEOUT_SECONDS)
    return Quotas(counters, QuotaMetrics(CollectorRegistry()), fallback)


async def reserved(quotas: Quotas, key: AccessKey = KEY) -> RequestAccount:
    """Reserve for a request and return its account."""
    account = RequestAccount("id", Metrics(), key=key)
    await quotas.reserve(account, DEMAND)
    return account


@pytest.mark.hypothesis
def test_the_laws_hold_over_two_servers(redis_port: int) -> None:
    class RedisMachine(QuotaMachine):
        """Two servers on one Redis."""

        def make_quotas(self) -> Iterable[Quotas]:
            return [quotas_on(redis_port), quotas_on(redis_port)]

    run_state_machine_as_test(
        RedisMachine,
        settings=settings(
            max_examples=examples(15),
            stateful_step_count=20,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.fixture
async def servers(redis_port: int) -> AsyncIterator[list[Quotas]]:
    """Two servers on one Redis, with frozen clocks."""
    made = [quotas_on(redis_port), quotas_on(redis_port)]
    for quotas in made:
        quotas.clock = lambda: 1_000_000_000.0
    yield made
    for quotas in made:
        await quotas.close()


async def test_of_a_hundred_over_two_servers_ten_pass(servers: list[Quotas]) -> None:
    tries = [reserved(servers[number % 2]) for number in range(100)]
    results = await asyncio.gather(*tries, return_exceptions=True)
    assert sum(isinstance(result, RequestAccount) for result in results) == 10
    assert sum(isinstance(result, QuotaExceededError) for result in results) == 90
    (requests, thoughts) = await servers[0].get_usage(KEY)
    assert (requests.used, thoughts.used) == (10, 10 * DEMAND.reasoning_tokens)


async def test_without_redis_requests_are_refused_and_then_let_in_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    port = free_port()
    quotas = quotas_on(port)
    with redis_at(port, tmp_path / "first.log"):
        running_request = await reserved(quotas)
    with caplog.at_level(logging.INFO, "server.quotas"):
        for _ in range(3):
            with pytest.raises(QuotaStorageUnavailableError) as caught:
                await reserved(quotas)
            assert caught.value.status == 503
        await running_request.at_end.aclose()  # ends without an error
    assert len(caplog.records) == 1
    with redis_at(port, tmp_path / "second.log"):
        await until_let_in(quotas)
        assert (await quotas.get_usage(KEY))[0].used == 1
    await quotas.close()


async def until_let_in(quotas: Quotas, key: AccessKey = KEY) -> None:
    """Retry until the storage is contacted again."""
    async with asyncio.timeout(20 * PAUSE_SECONDS):
        while True:
            try:
                await reserved(quotas, key)
                return
            except QuotaStorageUnavailableError:
                await asyncio.sleep(PAUSE_SECONDS / 10)


async def test_with_a_fallback_each_server_counts_alone(tmp_path: Path) -> None:
    port = free_port()
    quotas = quotas_on(port, MemoryCounters())
    quotas.clock = lambda: 1_000_000_000.0
    with redis_at(port, tmp_path / "redis.log"):
        await reserved(quotas)
    accounts = [await reserved(quotas) for _ in range(10)]
    with pytest.raises(QuotaExceededError):
        await reserved(quotas)
    for account in accounts:  # returned to the counters it was reserved from
        await account.at_end.aclose()
    requests, thoughts = await quotas.get_usage(KEY)
    assert (requests.used, thoughts.used) == (10, 0)
    await quotas.close()


async def test_a_redis_that_hangs_costs_one_wait() -> None:
    """Check that a server that accepts connections and never responds costs one wait."""

    async def never(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await closing.wait()
        writer.close()

    closing = asyncio.Event()
    silent = await asyncio.start_server(never, "127.0.0.1", 0)
    port = silent.sockets[0].getsockname()[1]
    quotas = Quotas(
        RedisCounters(f"redis://127.0.0.1:{port}", 0.2), QuotaMetrics(CollectorRegistry())
    )
    async with asyncio.timeout(30):
        with pytest.raises(QuotaStorageUnavailableError):
            await reserved(quotas)
    closing.set()
    silent.close()
    await quotas.close()


async def test_a_refund_after_redis_has_lost_its_counters_credits_nobody(tmp_path: Path) -> None:
    port = free_port()
    quotas = quotas_on(port)
    with redis_at(port, tmp_path / "first.log"):
        account = await reserved(quotas)
    with redis_at(port, tmp_path / "second.log"):
        await until_let_in(quotas, AccessKey("another", quota=Quota(requests_per_day=1)))
        await account.at_end.aclose()
        assert [usage.used for usage in await quotas.get_usage(KEY)] == [0, 0]
    await quotas.close()


def test_a_password_is_nowhere_to_be_read(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    url = "redis://:hush-hush@127.0.0.1:6379"
    monkeypatch.setenv("THINKING_SERVER_QUOTA_STORAGE", url)
    settings_read = read_settings({})
    assert settings_read.quota_storage is not None
    assert settings_read.quota_storage.get_secret_value() == url
    services = open_services(settings_read)
    counters = RedisCounters(url, 1.0)
    for shown in (repr(settings_read), repr(services), repr(counters), repr(vars(counters))):
        assert "hush-hush" not in shown
    with pytest.raises(SystemExit):
        read_settings({"quota_storage": url})
    error = capsys.readouterr().err
    assert "THINKING_SERVER_QUOTA_STORAGE" in error
    assert "hush-hush" not in error


@pytest.mark.parametrize("url", ["mysql://a:secret@b", "redis://a:secret@b:notaport", "memory"])
def test_a_bad_url_is_a_clear_error_without_the_url(url: str) -> None:
    with pytest.raises(QuotaStorageUrlError) as caught:
        open_counters(url, 1.0)
    assert "secret" not in str(caught.value)
