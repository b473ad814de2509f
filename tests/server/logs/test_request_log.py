"""The request log: one line per request, with our numbers and names and no client text."""

import io
import json
import logging
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from server.account.account import RequestAccount
from server.logs import log as log_module
from server.logs.log import REQUEST_LOGGER, LogFormat, ServerLog
from server.logs.request_line import build_request_fields
from server.metrics import Metrics
from server.process.console import print_status
from tests.server.conftest import MODEL, Serve, wants

CANARY = "xyzzy"
HIDDEN = "plugh"


class Pipe(io.StringIO):
    """Standard error; writes block while `may_write` is cleared, as on a full pipe."""

    def __init__(self) -> None:
        super().__init__()
        self.may_write = threading.Event()
        self.may_write.set()

    def write(self, text: str) -> int:
        self.may_write.wait(20)
        return super().write(text)


@pytest.fixture
def pipe() -> Pipe:
    return Pipe()


@pytest.fixture(params=[LogFormat.TEXT, LogFormat.JSON])
def log(request: pytest.FixtureRequest, pipe: Pipe) -> Iterator[ServerLog]:
    log = ServerLog(request.param, pipe)
    log.start()
    yield log
    log.stop()


async def _send_chat(serve: Serve, **fields: Any) -> None:
    served = serve(wants(f"{HIDDEN}</think>{CANARY}"))
    message = {"role": "user", "content": CANARY}
    await served.chat(messages=[message], include_reasoning=True, **fields)


async def test_no_text_of_a_request_or_a_reply_is_in_the_log(
    serve: Serve, log: ServerLog, pipe: Pipe
) -> None:
    await _send_chat(serve)
    await _send_chat(serve, stream=True)
    await _send_chat(serve, stop=[CANARY], user=CANARY, metadata={CANARY: CANARY})
    await _send_chat(serve, vendor_zone=CANARY)  # the name of an ignored field is logged, it alone
    served = serve()
    await served.http.get(f"/{CANARY}?{CANARY}=1", headers={"x-custom": CANARY})
    await served.http.request(CANARY.upper(), "/v1/models")
    log.stop()
    assert pipe.getvalue().count("\n") == 6
    assert CANARY not in pipe.getvalue().lower()
    assert HIDDEN not in pipe.getvalue()
    assert "vendor_zone" in pipe.getvalue()


async def test_a_line_of_json_accounts_for_its_request(serve: Serve, pipe: Pipe) -> None:
    log = ServerLog(LogFormat.JSON, pipe)
    log.start()
    served = serve(wants("hm.</think>yes"))
    response = await served.chat(n=2, max_thinking_tokens=64)
    log.stop()
    line, usage = json.loads(pipe.getvalue()), response.json()["usage"]
    assert line["request_id"] == response.headers["x-request-id"]
    assert line["level"] == "info"
    assert line["time"].endswith("Z")
    assert (line["key"], line["method"], line["endpoint"], line["status"], line["model"]) == (
        "anonymous",
        "POST",
        "/v1/chat/completions",
        200,
        MODEL,
    )
    assert line["prompt_tokens"] == usage["prompt_tokens"]
    details = usage["completion_tokens_details"]
    assert line["reasoning_tokens"] == details["reasoning_tokens"]
    assert line["answer_tokens"] == usage["completion_tokens"] - details["reasoning_tokens"]
    receipts = [choice["thinking"] for choice in response.json()["choices"]]
    assert [thought["used"] for thought in line["thinking"]] == [r["used"] for r in receipts]
    assert 0 <= line["first_answer_seconds"] <= line["seconds"]


async def test_every_request_has_exactly_one_line(serve: Serve, log: ServerLog, pipe: Pipe) -> None:
    served = serve()
    await served.http.get(
        "/v1/%0a%0dforged%0a", headers={b"x-request-id": b"a\x1b[31m\xe2\x80\xa8b"}
    )
    await served.http.get("/" + "x" * 5_000)
    await served.http.post(
        "/v1/chat/completions", content=b"{", headers={"x-request-id": "a" * 500}
    )
    log.stop()
    lines = pipe.getvalue().splitlines()
    assert len(lines) == 3
    assert all(len(line) < 1_000 and line.isascii() for line in lines)


async def test_probes_are_not_logged(serve: Serve, log: ServerLog, pipe: Pipe) -> None:
    served = serve()
    await served.http.get("/health")
    await served.http.get("/metrics")
    served.services.slot.is_draining = True
    await served.http.get("/health")
    await served.http.get("/v1/models")
    await served.http.post("/health")
    log.stop()
    lines = pipe.getvalue().splitlines()
    assert len(lines) == 2
    assert "/health" in lines[1]
    assert "405" in lines[1]


async def test_without_a_format_no_request_is_logged(serve: Serve, pipe: Pipe) -> None:
    log = ServerLog(LogFormat.NONE, pipe)
    log.start()
    await serve().chat()
    print_status("still here")
    log.stop()
    assert pipe.getvalue() == "thinking-server: still here\n"


async def test_a_stalled_reader_delays_no_request(
    serve: Serve, pipe: Pipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_module, "MAX_WAITING", 3)
    monkeypatch.setattr(log_module, "STOP_SECONDS", 20.0)
    log = ServerLog(LogFormat.JSON, pipe)
    pipe.may_write.clear()
    log.start()
    served = serve(wants("</think>yes"))
    for _ in range(9):
        assert (await served.chat()).status_code == 200
    # Three are queued, and one is being written.
    assert log.num_dropped >= 5
    pipe.may_write.set()
    log.stop()
    assert len(pipe.getvalue().splitlines()) == 9 - log.num_dropped


async def test_an_unforeseen_error_is_logged_without_its_values(log: ServerLog, pipe: Pipe) -> None:
    logger = logging.getLogger("server.somewhere")
    try:
        try:
            raise KeyError(CANARY)
        except KeyError as error:
            raise ValueError(CANARY) from error
    except ValueError as error:
        logger.error("a stream failed", exc_info=error)
    log.stop()
    text = pipe.getvalue()
    assert "ValueError" in text
    assert "KeyError" in text
    assert "test_request_log.py" in text
    assert CANARY not in text


def test_a_stopped_log_is_detached(log: ServerLog, pipe: Pipe) -> None:
    log.stop()
    logging.getLogger(REQUEST_LOGGER).warning("this is not logged")
    logging.getLogger("server").warning("neither is this")
    assert not pipe.getvalue()


def test_a_request_without_a_reply_has_a_line_too() -> None:
    account = RequestAccount("id", Metrics(), method="GET")
    fields = build_request_fields(account, None)
    assert fields["status"] is None
    assert fields["first_answer_seconds"] is None
