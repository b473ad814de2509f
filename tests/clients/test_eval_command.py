"""``thinking eval`` end to end: real sockets, the real openai client, real files."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from clients.cli import main
from clients.errors import ExitCode
from tests.clients.conftest import ENOUGH, WAIT_SECONDS, ForeignServer

ROOT = Path(__file__).parents[2]
QUICK = ("--retries", "0", "--no-picture")


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def write_tasks(*lines: dict[str, Any] | str) -> str:
    """Write a task file to the current folder and return its name."""
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    Path("tasks.jsonl").write_text("\n".join(texts) + "\n", encoding="utf-8")
    return "tasks.jsonl"


def write_numbered_tasks(count: int) -> str:
    return write_tasks(*({"question": f"Question {n}", "answer": "42"} for n in range(count)))


def read_report(name: str = "eval-tasks") -> dict[str, Any]:
    result: dict[str, Any] = json.loads(Path(f"{name}.json").read_text(encoding="utf-8"))
    return result


def test_our_server_gets_a_curve_a_knee_and_a_picture(
    our_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    tasks = write_tasks(
        {"question": "6 x 7", "answer": "42", "group": "right"},
        {"question": "6 + 1", "answer": "13", "group": "wrong"},
    )
    budgets = f"0,8,{ENOUGH * 2},64"
    command = ["eval", tasks, "--url", our_url, "--budgets", budgets, "--temperature", "0"]
    options = ["--samples", "2", "--price-in", "1", "--price-out", "2", "--option", "grace=0"]
    code = main([*command, *options])
    assert code == ExitCode.OK
    points = {point["budget"]: point for point in read_report()["points"]}
    assert [point["accuracy"]["share"] for point in points.values()] == [0, 0, 0.5, 0.5]
    assert all(point["accuracy"]["total"] == 4 for point in points.values())
    for budget, point in points.items():
        assert point["mean_reasoning_tokens"] <= budget
        assert point["over_budget"] == 0
        assert point["groups"]["wrong"]["share"] == 0
        tokens = point["mean_prompt_tokens"] + 2 * point["mean_completion_tokens"]
        assert point["cost_per_1000"] == pytest.approx(tokens / 1000)
    assert points[0]["stops"] == {"none": 4}
    assert points[64]["stops"] == {"natural": 4}
    assert read_report()["knee"]["budget"] == ENOUGH * 2
    assert Path("eval-tasks.png").read_bytes().startswith(b"\x89PNG")
    table = capsys.readouterr().out
    assert table == Path("eval-tasks.md").read_text(encoding="utf-8")
    assert f"budget {ENOUGH * 2}" in table


def test_each_reply_is_kept_with_its_score_and_its_receipt(our_url: str) -> None:
    tasks = write_tasks({"id": "a", "question": "6 x 7", "answer": "42", "group": 1})
    main(["eval", tasks, "--url", our_url, "--budgets", "40", "--option", "grace=0", *QUICK])
    (line,) = Path("eval-tasks.outcomes.jsonl").read_text(encoding="utf-8").splitlines()
    outcome = json.loads(line)
    assert outcome["task"] == "a"
    assert outcome["group"] == "1"
    assert (outcome["text"], outcome["right"], outcome["total"]) == ("42", 1, 1)
    assert outcome["stop"] == "budget"
    assert outcome["finish_reason"] == "stop"
    assert outcome["reasoning_tokens"] == 40
    assert outcome["completion_tokens"] > 40
    assert outcome["seconds"] > 0


def test_efforts_are_budgets_too(our_url: str) -> None:
    arguments = ["--field", "reasoning_effort", "--budgets", "none,low,default"]
    assert (
        main(["eval", write_numbered_tasks(1), "--url", our_url, *arguments, *QUICK]) == ExitCode.OK
    )
    tokens = {point["budget"]: point["mean_reasoning_tokens"] for point in read_report()["points"]}
    assert tokens["none"] == 0
    assert tokens["low"] > 0
    assert tokens[None] > 0


def test_a_field_that_the_server_refuses_ends_the_run_with_the_servers_words(
    our_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--field", "thinking_tokens", "--give-up-after", "3", *QUICK]
    assert main(["eval", write_numbered_tasks(9), "--url", our_url, *arguments]) == ExitCode.FAILED
    said = capsys.readouterr().err
    assert "3 failures in a row" in said
    assert "max_thinking_tokens" in said
    assert not Path("eval-tasks.json").exists()


def test_broken_lines_are_named_by_number_and_the_rest_runs(
    foreign_server: ForeignServer, capsys: pytest.CaptureFixture[str]
) -> None:
    tasks = write_tasks(
        {"question": "one", "answer": "42"},
        "{broken",
        "",
        {"question": "two"},
        {"question": "three", "answer": "1\n#### 42"},
    )
    assert (
        main(["eval", tasks, "--url", foreign_server.url, "--budgets", "0", *QUICK]) == ExitCode.OK
    )
    said = capsys.readouterr().err
    assert "tasks.jsonl:2: " in said
    assert "tasks.jsonl:4: answer is missing" in said
    assert [broken["line"] for broken in read_report()["tasks"]["broken"]] == [2, 4]
    assert sorted(foreign_server.list_questions()) == [("one", 0), ("three", 0)]
    assert read_report()["points"][0]["accuracy"]["right"] == 2


def test_a_file_without_a_task_is_an_error_and_nothing_is_written(
    foreign_server: ForeignServer, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["eval", write_tasks("{"), "--url", foreign_server.url]) == ExitCode.USAGE
    assert "line 1" in capsys.readouterr().err
    assert [path.name for path in Path().iterdir()] == ["tasks.jsonl"]


def test_a_failed_request_is_neither_right_nor_wrong_and_is_tried_again(
    foreign_server: ForeignServer, capsys: pytest.CaptureFixture[str]
) -> None:
    foreign_server.refuses = {"Question 1"}
    command = [
        "eval",
        write_numbered_tasks(3),
        "--url",
        foreign_server.url,
        "--budgets",
        "0",
        *QUICK,
    ]
    assert main(command) == ExitCode.FAILED
    (point,) = read_report()["points"]
    assert (point["accuracy"]["right"], point["accuracy"]["total"], point["errors"]) == (2, 2, 1)
    (error,) = read_report()["errors"]
    assert error["task"] == "2"
    assert "400: no Question 1" in error["reason"]
    assert "400: no Question 1" in capsys.readouterr().err

    foreign_server.refuses, before = set(), len(foreign_server.bodies)
    assert main(command) == ExitCode.OK
    assert foreign_server.list_questions()[before:] == [("Question 1", 0)]
    assert read_report()["errors"] == []
    assert read_report()["points"][0]["accuracy"]["right"] == 3


def test_an_interrupted_run_resumes_without_repeating_requests(
    foreign_server: ForeignServer,
) -> None:
    foreign_server.closed_after = 5
    command = [
        "eval",
        write_numbered_tasks(6),
        "--url",
        foreign_server.url,
        "--budgets",
        "0,16",
        *QUICK,
    ]
    command += ["--concurrency", "1"]
    process = subprocess.Popen(
        [sys.executable, "-m", "clients.cli", *command],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
        # A background job's shell may have told us to ignore Ctrl-C, which is inherited.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert foreign_server.reached.wait(WAIT_SECONDS)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=WAIT_SECONDS)
    assert process.returncode == ExitCode.INTERRUPTED, said
    assert "Traceback" not in said
    assert not Path("eval-tasks.json").exists()
    answered = foreign_server.list_questions()[:5]

    foreign_server.gate.set()
    foreign_server.bodies.clear()
    assert main(command) == ExitCode.OK
    requested = foreign_server.list_questions()
    assert len(requested) == len(set(requested)) == 7
    assert not set(requested) & set(answered)
    assert [point["replies"] for point in read_report()["points"]] == [6, 6]


def test_other_settings_do_not_mix_with_a_journal(
    foreign_server: ForeignServer, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [
        "eval",
        write_numbered_tasks(2),
        "--url",
        foreign_server.url,
        "--budgets",
        "0",
        *QUICK,
    ]
    assert main(command) == ExitCode.OK
    assert main([*command, "--temperature", "1"]) == ExitCode.USAGE
    said = capsys.readouterr().err
    assert "temperature: null then, 1.0 now" in said
    assert "--restart" in said
    assert len(foreign_server.bodies) == 2
    assert main([*command, "--temperature", "1", "--restart"]) == ExitCode.OK
    assert len(foreign_server.bodies) == 4


def test_more_budgets_samples_and_tasks_request_only_what_is_new(
    foreign_server: ForeignServer,
) -> None:
    command = ["eval", write_numbered_tasks(2), "--url", foreign_server.url, *QUICK]
    main([*command, "--budgets", "0"])
    foreign_server.bodies.clear()
    main([*command, "--budgets", "0,8", "--samples", "2"])
    assert len(foreign_server.bodies) == 2 * 2 * 2 - 2
    foreign_server.bodies.clear()
    write_numbered_tasks(3)
    main([*command, "--budgets", "0,8"])
    assert sorted(foreign_server.list_questions()) == [("Question 2", 0), ("Question 2", 8)]


def test_a_corrected_answer_is_scored_without_a_new_request(foreign_server: ForeignServer) -> None:
    command = ["--url", foreign_server.url, "--budgets", "0", *QUICK]
    main(["eval", write_tasks({"question": "one", "answer": "41"}), *command])
    assert read_report()["points"][0]["accuracy"]["right"] == 0
    main(["eval", write_tasks({"question": "one", "answer": "42"}), *command])
    assert read_report()["points"][0]["accuracy"]["right"] == 1
    assert len(foreign_server.bodies) == 1


def test_the_body_is_what_the_options_say(foreign_server: ForeignServer) -> None:
    options = [
        *("--field", "chat_template_kwargs.thinking_budget", "--budgets", "16,default"),
        *("--extra", 'chat_template_kwargs={"enable_thinking": true}', "--extra", "top_k=5"),
        *("--option", 'gate={"mode": "off"}', "--system", "Be brief.", "--seed", "7"),
        *("--samples", "2", "--max-completion-tokens", "99", "--temperature", "0.5"),
        *("--concurrency", "1"),
    ]
    assert (
        main(["eval", write_numbered_tasks(1), "--url", foreign_server.url, *options, *QUICK])
        == ExitCode.OK
    )
    first = foreign_server.bodies[0]
    assert first == {
        "model": "m",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Question 0"},
        ],
        "chat_template_kwargs": {"enable_thinking": True, "thinking_budget": 16},
        "top_k": 5,
        "thinking_options": {"gate": {"mode": "off"}},
        "temperature": 0.5,
        "seed": first["seed"],
        "max_completion_tokens": 99,
    }
    assert foreign_server.bodies[1]["chat_template_kwargs"] == {"enable_thinking": True}
    seeds = [body["seed"] - first["seed"] for body in foreign_server.bodies]
    assert seeds == [0, 0, 1, 1], "one more for each sample, whatever the budget"


def test_a_server_that_reports_no_thinking_tokens_is_noted(
    foreign_server: ForeignServer, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [
        "eval",
        write_numbered_tasks(1),
        "--url",
        foreign_server.url,
        "--budgets",
        "0,1",
        "--retries",
        "0",
    ]
    assert main(command) == ExitCode.OK
    assert "does not report thinking tokens" in capsys.readouterr().out
    assert Path("eval-tasks.png").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "which tasks"),
        (["smokey"], "did you mean smoke"),
        (["smoke", "--budgets", "1,1"], "twice"),
        (["smoke", "--budgets", "1,,2"], "empty"),
        (["smoke", "--tolerance", "x"], "--tolerance"),
        (["smoke", "--pattern", "("], "pattern"),
        (["smoke", "--extra", "seed=1"], "seed is set twice"),
        (["smoke", "--url", "localhost:8000"], "http://"),
        (["smoke", "--output", "no/such/folder/run"], "is not a folder"),
    ],
)
def test_arguments_that_make_no_sense_are_named(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    at_once = [] if "--url" in arguments else ["--url", "http://127.0.0.1:1/v1", "--model", "m"]
    code = main(["eval", *arguments, *at_once, "--retries", "0"])
    assert code == ExitCode.USAGE
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("argument", ["gate", "gate={mode:off}", "=1"])
def test_an_option_that_is_no_json_is_refused(
    argument: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["eval", "smoke", "--option", argument])
    assert ended.value.code == ExitCode.USAGE
    assert "--option" in capsys.readouterr().err


def test_an_unreachable_server_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    command = ["eval", "smoke", "--url", "http://127.0.0.1:1/v1", "--retries", "0"]
    assert main(command) == ExitCode.FAILED
    assert "http://127.0.0.1:1/v1" in capsys.readouterr().err
    assert not list(Path().iterdir())


def test_the_built_in_sets_are_listed_and_whole(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["eval", "--list"]) == ExitCode.OK
    assert "smoke: 8 tasks" in capsys.readouterr().out
