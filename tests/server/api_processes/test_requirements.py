"""Several processes start only where what they count and keep holds for all of them together."""

from pathlib import Path
from typing import Any

import pytest

from server.api_processes.place import ProcessPlace
from server.api_processes.requirements import ApiProcessesError, check_api_processes, share_out
from server.keys.reading import KeyFileError
from server.settings.settings import ServerSettings
from server.state import open_services
from tests.server.conftest import MODEL, Serve, chat_body
from tests.server.keys.conftest import ALICE, make_entry

REDIS = "redis://127.0.0.1:1"


def several(**options: Any) -> ServerSettings:
    """Return settings of three processes that need nothing shared, but for `options`."""
    given = {"engine_url": ["http://engine"], "response_store_max_responses": 0, **options}
    return ServerSettings(api_processes=3, **given)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"engine_url": []}, "--engine-url"),
        ({"response_store_max_responses": 5}, "--response-store redis://"),
        ({"response_store_max_responses": 5, "response_store": "memory://"}, "--response-store"),
        ({"anonymous_quota": {"requests_per_day": 5}}, "--quota-storage redis://"),
        ({"trace_store": "traces.sqlite"}, "--trace-store"),
        ({"max_concurrent_requests": 2}, "--max-concurrent-requests 2"),
        ({"max_connections": 2}, "--max-connections 2"),
        ({"map_concurrency": 2}, "--map-concurrency 2"),
    ],
)
def test_what_would_hold_for_one_process_only_is_refused_by_name(
    options: dict[str, Any], named: str
) -> None:
    with pytest.raises(ApiProcessesError) as caught:
        check_api_processes(several(**options))
    assert "--api-processes" in str(caught.value)
    assert named in str(caught.value)
    check_api_processes(several(**options).model_copy(update={"api_processes": 1}))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"response_store_max_responses": 5, "response_store": REDIS},
        {"anonymous_quota": {"requests_per_day": 5}, "quota_storage": REDIS},
        {"anonymous_quota": {"requests_per_day": None}},
        {"max_concurrent_requests": 3, "max_queued_requests": 0},
    ],
)
def test_nothing_shared_is_asked_for_that_is_not_needed(options: dict[str, Any]) -> None:
    check_api_processes(several(**options))


def test_keys_with_quotas_need_a_shared_storage(tmp_path: Path) -> None:
    file = tmp_path / "keys.toml"
    file.write_text(make_entry("alice", ALICE, **{"quota.tokens_per_day": "5"}))
    with pytest.raises(KeyFileError, match="--quota-storage redis://"):
        open_services(several(keys_file=str(file)))
    open_services(several(keys_file=str(file), quota_storage=REDIS))
    file.write_text(make_entry("alice", ALICE))
    services = open_services(several(keys_file=str(file)))
    file.write_text(make_entry("bob", ALICE, **{"quota.tokens_per_day": "5"}))
    assert not services.keys.reload()  # and the keys without quotas stay in force
    found = services.keys.find(ALICE.encode())
    assert found is not None
    assert found.key_id == "alice"


async def test_a_turn_is_refused_where_no_storage_is_shared(serve: Serve) -> None:
    turn = {"turn": {"id": "t", "budget": 64}}
    lone = serve()
    assert (await lone.chat(thinking_options=turn)).status_code == 200
    served = serve(api_processes=3)
    refused = await served.chat(thinking_options=turn)
    assert refused.status_code == 400
    assert refused.json()["error"]["code"] == "turn_not_supported"
    assert "--quota-storage" in refused.json()["error"]["message"]
    assert (await served.http.post("/v1/chat/completions", json=chat_body(model=MODEL))).is_success


@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_parts_of_a_limit_add_up_to_it(count: int) -> None:
    settings = several(max_concurrent_requests=17, max_connections=100, max_queued_requests=0)
    places = [ProcessPlace(number, count, Path()) for number in range(count)]
    parts = [share_out(settings, place) for place in places]
    for name in (
        "max_concurrent_requests",
        "max_connections",
        "max_queued_requests",
        "map_concurrency",
        "thought_store_max_bytes",
        "ledger_spool_max_rows",
    ):
        values = [getattr(part, name) for part in parts]
        assert sum(values) == getattr(settings, name)
        assert max(values) - min(values) <= 1


def test_each_process_has_a_spool_and_none_is_forgotten(tmp_path: Path) -> None:
    spool = tmp_path / "spool"
    settings = several(ledger="sqlite:///x", ledger_spool=str(spool))
    spools = [share_out(settings, ProcessPlace(n, 3, Path())).ledger_spool for n in range(3)]
    assert len(set(spools)) == 3
    for name in spools:
        assert name is not None
        Path(name).write_text("a row\n")
    check_api_processes(settings)
    for fewer in (1, 2):
        with pytest.raises(ApiProcessesError, match=r"spool\.[012] has rows"):
            check_api_processes(settings.model_copy(update={"api_processes": fewer}))
    Path(f"{spool}.2").write_text("")
    check_api_processes(settings.model_copy(update={"api_processes": 2}))
    spool.write_text("a row\n")
    with pytest.raises(ApiProcessesError, match="spool has rows"):
        check_api_processes(settings)
