"""``thinking map`` end to end: real sockets, real files."""

import asyncio
import io
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from starlette.responses import Response, StreamingResponse

from clients.cli import main
from clients.errors import ExitCode
from clients.mapping.thought_map import ThoughtMap
from server.app import create_app
from server.engine.scripted import ScriptedEngine
from server.engine.scripted_model import WantedTokens
from tests.clients.conftest import WAIT_SECONDS, serve_in_thread
from tests.server.api.thinking.map.conftest import ENDLESS
from tests.server.conftest import (
    MODEL,
    PROFILES,
    STOP_ID,
    TOKENIZER,
    VOCAB_SIZE,
    ids,
    make_services,
)

ROOT = Path(__file__).parents[2]
THINKING = ("--question", "6 x 7?", "--thought-tokens", "64")


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def read_map(name: str = "map") -> ThoughtMap:
    return ThoughtMap.model_validate_json(Path(f"{name}.json").read_bytes())


def test_our_server_gets_numbers_a_table_and_a_picture(
    our_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["map", "42", "--url", our_url, *THINKING, "--output", "runs", "--progress"]
    assert main([*command, "--mix", "0,0.5,1"]) == ExitCode.OK
    found = read_map("runs")
    assert [position.token for position in found.positions] == ["4", "2"]
    four, two = found.positions
    assert four.gain == pytest.approx(60, abs=1)  # only a thought gets to "4"
    assert two.gain == pytest.approx(0, abs=1)
    assert four.logprob_mixed[0] == four.logprob
    assert four.logprob_mixed[2] == four.logprob_with_thought
    assert (four.thought_tokens, four.stop) == (42, "natural")
    assert four.reasoning is None
    assert found.thought_tokens == 64
    assert found.request["text"] == "42"
    assert Path("runs.png").read_bytes().startswith(b"\x89PNG")
    said = capsys.readouterr()
    assert said.out == Path("runs.md").read_text(encoding="utf-8")
    first_row = said.out.splitlines()[2]
    assert first_row.startswith("| 0 | [4] | -6")
    assert "2/2" in said.err
    assert sorted(path.name for path in Path().iterdir()) == ["runs.json", "runs.md", "runs.png"]


def test_text_and_conversation_may_come_from_files(our_url: str) -> None:
    Path("text.txt").write_text("naïve\n", encoding="utf-8")
    Path("m.json").write_text('[{"role": "user", "content": "Say it."}]', encoding="utf-8")
    command = ["map", "--file", "text.txt", "--messages", "m.json", "--url", our_url]
    assert main([*command, "--no-picture", "--show-thoughts"]) == ExitCode.OK
    found = read_map()
    assert b"".join(bytes(p.bytes) for p in found.positions).decode() == "naïve"
    assert found.request["messages"] == [{"role": "user", "content": "Say it."}]
    assert all(position.reasoning for position in found.positions)
    assert not Path("map.png").exists()


def test_the_text_may_come_from_a_pipe(our_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("piped\n"))
    assert main(["map", "--file", "-", "--url", our_url, "--no-picture"]) == ExitCode.OK
    assert read_map().request["text"] == "piped"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "--file"),
        (["a", "--file", "b"], "--file"),
        (["--file", "none.txt"], "none.txt"),
        (["a", "--question", "b", "--messages", "[]"], "give one"),
        (["a", "--messages", "[{"], "--messages"),
        (["a", "--messages", "none.json"], "none.json"),
        (["a", "--output", "none/x"], "none is not a folder"),
    ],
)
def test_what_cannot_be_used_is_named(
    our_url: str, arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["map", "--url", our_url, *arguments]) == ExitCode.USAGE
    assert said in capsys.readouterr().err
    assert not list(Path().iterdir())


@pytest.mark.parametrize("weights", ["2", "half", "", "0,,1"])
def test_weights_are_from_0_to_1(weights: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["map", "a", "--mix", weights])
    assert "from 0 to 1" in capsys.readouterr().err


def test_the_servers_refusal_is_shown_and_nothing_is_written(
    our_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["map", "a" * 600, "--url", our_url, "--retries", "0"]
    assert main(command) == ExitCode.FAILED
    said = capsys.readouterr().err
    assert "400: text: has 600 tokens; this server maps at most 512" in said
    assert not list(Path().iterdir())


@dataclass
class OtherServer:
    """Server that claims to make maps: sends `lines`, then ends. None: it has no such path."""

    lines: list[str] | None = None
    bodies: list[dict[str, Any]] = field(default_factory=list)

    async def map(self, request: Request) -> Response:
        """Handle ``POST /v1/thinking/map``."""
        self.bodies.append(await request.json())
        if self.lines is None:
            return JSONResponse({"detail": "Not Found"}, 404)

        async def send() -> AsyncIterator[bytes]:
            for line in self.lines or ():
                yield f"{line}\n\n".encode()

        return StreamingResponse(send(), media_type="text/event-stream")


@pytest.fixture
def other() -> Iterator[tuple[OtherServer, str]]:
    made = OtherServer()
    app = FastAPI()
    app.add_route("/v1/thinking/map", made.map, ["POST"])
    with serve_in_thread(app) as url:
        yield made, url


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (None, "only thinking-server"),
        ([], "ended before the map was complete"),
        ([": keep-alive", "data: [DONE]"], "ended before the map was complete"),
        (['data: {"error": {"message": "the engine has died"}}'], "the engine has died"),
        (["data: {"], "not JSON"),
        (["data: 7"], "not an object"),
        (
            ['data: {"object": "thinking.map.position", "position": {"index": 1}}'],
            "an invalid map (token",
        ),
        (['data: {"object": "thinking.map"}'], "an invalid map (id"),
    ],
)
def test_an_incomplete_map_is_an_error_and_nothing_is_written(
    other: tuple[OtherServer, str],
    lines: list[str] | None,
    said: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    server, url = other
    server.lines = lines
    command = ["map", "a", "--url", url, "--model", "m", "--retries", "0"]
    assert main(command) == ExitCode.FAILED
    assert said in capsys.readouterr().err
    assert server.bodies[0]["stream"] is True
    assert not list(Path().iterdir())


def test_an_unreachable_server_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    command = ["map", "a", "--url", "http://127.0.0.1:1/v1", "--model", "m", "--retries", "0"]
    assert main(command) == ExitCode.FAILED
    assert "http://127.0.0.1:1/v1: cannot be reached" in capsys.readouterr().err


def test_an_interruption_writes_nothing_and_leaves_no_request_behind() -> None:
    source = WantedTokens(VOCAB_SIZE, ids(ENDLESS), STOP_ID)
    profile = PROFILES["special markers"]
    engine = ScriptedEngine(source, TOKENIZER, profile, model_name=MODEL, max_model_len=100_000)
    services = make_services()
    services.set_engine(engine)
    with serve_in_thread(create_app(services), engine.close) as url:
        command = [sys.executable, "-m", "clients.cli", "map", "the hill", "--url", url]
        process = subprocess.Popen(
            [*command, "--thought-tokens", "90000", "--progress"],
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            stderr=subprocess.PIPE,
            # A job in the background ignores SIGINT, and its children would too.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )
        assert process.stderr is not None
        read = b""
        while b"0/" not in read:  # the first event has come
            read += process.stderr.read(1)
        process.send_signal(signal.SIGINT)
        rest = process.stderr.read().decode()
        assert process.wait(WAIT_SECONDS) == ExitCode.INTERRUPTED
        assert "Traceback" not in rest
        assert not list(Path().iterdir())
        while engine.num_running:
            assert services.slot.is_ready  # until the server has noticed
    asyncio.run(services.close())
