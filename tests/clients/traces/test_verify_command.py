"""``thinking verify`` against our app, on a real socket."""

import json
from pathlib import Path
from typing import Any

import pytest

from clients.cli import main
from clients.errors import ExitCode
from tests.clients.conftest import ForeignServer
from tests.clients.traces.conftest import StartTraced, Traced

TOKEN = "a-token-of-some-length"


def write(path: Path, *lines: dict[str, Any] | str) -> str:
    path.write_text("".join(f"{x if isinstance(x, str) else json.dumps(x)}\n" for x in lines))
    return str(path)


@pytest.fixture
def reference(tmp_path: Path) -> str:
    return write(
        tmp_path / "reference.jsonl",
        {"prompt": "6 x 7?", "answer": 42},
        {"prompt": [{"role": "user", "content": "seven?"}], "answer": "7"},
    )


def list_scores(traced: Traced) -> list[list[float]]:
    return [[verdict["score"] for verdict in trace["verdicts"]] for trace in traced.list_traces()]


def test_answers_are_judged_by_the_reference(
    traced: Traced, reference: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for question, thinks in (("6 x 7?", True), ("6 x 7?", False), ("seven?", False), ("?", True)):
        traced.ask(question, thinks=thinks)
    system = [{"role": "system", "content": "Count."}, {"role": "user", "content": " 6 x 7? "}]
    traced.ask("", messages=system)
    assert main(["verify", reference, "--url", traced.url]) == ExitCode.OK
    assert list_scores(traced) == [[1.0], [0.0], [1.0], [], [1.0]]
    assert "3 right, 0 partly right, 1 wrong" in capsys.readouterr().out


def test_a_second_run_judges_only_what_is_new(
    traced: Traced, reference: str, capsys: pytest.CaptureFixture[str]
) -> None:
    traced.ask("6 x 7?")
    main(["verify", reference, "--url", traced.url])
    traced.ask("6 x 7?", n=2)
    capsys.readouterr()
    main(["verify", reference, "--url", traced.url])
    assert "2 right, 0 partly right, 0 wrong, 1 already judged" in capsys.readouterr().out
    main(["verify", reference, "--url", traced.url, "--again"])
    assert "3 right" in capsys.readouterr().out
    assert list_scores(traced) == [[1.0], [1.0, 1.0]]


def test_a_dry_run_posts_nothing(traced: Traced, reference: str) -> None:
    traced.ask("6 x 7?")
    main(["verify", reference, "--url", traced.url, "--dry-run"])
    assert list_scores(traced) == [[]]


def test_more_traces_than_a_page_are_all_read(
    traced: Traced, reference: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("clients.traces.trace_api.PAGE_TRACES", 2)
    for _ in range(5):
        traced.ask("6 x 7?")
    main(["verify", reference, "--url", traced.url])
    assert list_scores(traced) == [[1.0]] * 5


def test_the_token_is_read_from_the_environment(
    start_traced: StartTraced,
    reference: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("THINKING_SERVER_TRACE_TOKEN", TOKEN)
    traced = start_traced()
    traced.ask("6 x 7?")
    assert main(["verify", reference, "--url", traced.url]) == ExitCode.OK
    monkeypatch.delenv("THINKING_SERVER_TRACE_TOKEN")
    assert main(["verify", reference, "--url", traced.url]) == ExitCode.FAILED
    said = capsys.readouterr()
    assert "1 right" in said.out
    assert "401: send the trace token" in said.err
    assert TOKEN not in said.out + said.err


def test_broken_lines_are_named_and_the_rest_runs(
    traced: Traced, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    traced.ask("6 x 7?")
    good = {"prompt": "6 x 7?", "answer": 42}
    file = write(tmp_path / "r.jsonl", "{", {"prompt": "x"}, good, {**good, "answer": 43})
    assert main(["verify", file, "--url", traced.url]) == ExitCode.OK
    said = capsys.readouterr()
    for line in (1, 2, 4):
        assert f"r.jsonl:{line}: " in said.err
    assert "1 right" in said.out


@pytest.mark.parametrize("content", ["", "{}\n", '{"prompt": "x"}\n'])
def test_a_reference_without_answers_is_a_usage_error(tmp_path: Path, content: str) -> None:
    (tmp_path / "r.jsonl").write_text(content)
    assert main(["verify", str(tmp_path / "r.jsonl")]) == ExitCode.USAGE
    assert main(["verify", str(tmp_path / "none.jsonl")]) == ExitCode.USAGE


def test_a_server_without_traces_is_reported_as_such(
    start_traced: StartTraced,
    foreign_server: ForeignServer,
    reference: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    ours = start_traced(trace_store=None)
    assert main(["verify", reference, "--url", ours.url]) == ExitCode.FAILED
    assert "--trace-store" in capsys.readouterr().err
    assert main(["verify", reference, "--url", foreign_server.url]) == ExitCode.FAILED
    assert "404" in capsys.readouterr().err
    assert main(["verify", reference, "--url", "http://127.0.0.1:1/v1"]) == ExitCode.FAILED
    assert "cannot be reached" in capsys.readouterr().err
