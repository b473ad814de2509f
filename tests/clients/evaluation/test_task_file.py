"""Task files: every line is a task or is reported with its reason."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clients.errors import UsageError
from clients.evaluation.scoring import Score, ScoringKind
from clients.evaluation.task_file import TaskFile, read_task_file
from clients.evaluation.task_sets import find_tasks, list_task_sets

GOOD = b'{"question": "6 x 7", "answer": "42"}'


def read(tmp_path: Path, *lines: dict[str, Any] | bytes, group_by: str = "group") -> TaskFile:
    path = tmp_path / "tasks.jsonl"
    texts = [line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines]
    path.write_bytes(b"\n".join(texts))
    return read_task_file(path, group_field=group_by)


def test_gsm8k_is_read_as_it_is(tmp_path: Path) -> None:
    worked = "She sold 48/2 = <<48/2=24>>24 clips in May.\n#### 1,072"
    (task,) = read(tmp_path, {"question": "How many?", "answer": worked}).tasks
    assert task.answers == ("1,072",)
    assert task.score("In all: 1072 clips.") == Score(1, 1)


def test_all_forms_of_a_task_are_read(tmp_path: Path) -> None:
    messages = [{"role": "system", "content": "S"}, {"role": "user", "content": "U"}]
    blanks = {"kind": "blanks", "pattern": r"=(\d)"}
    tasks = read(
        tmp_path,
        {"messages": messages, "answer": ["1", 2], "scoring": blanks, "group": 4, "id": "b"},
        {"question": "Q", "answer": 0.5, "scoring": "exact"},
    ).tasks
    assert list(tasks[0].messages) == messages
    assert tasks[0].to_messages("other") == messages
    assert (tasks[0].task_id, tasks[0].group, tasks[0].answers) == ("b", "4", ("1", "2"))
    assert tasks[1].to_messages("S")[0] == {"role": "system", "content": "S"}
    assert (tasks[1].task_id, tasks[1].rule.kind) == ("2", ScoringKind.EXACT)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"{", "JSON"),
        (b"[]", "object"),
        (b"\xff{}", "UTF-8"),
        (b'{"question": "Q"}', "answer is missing"),
        (b'{"answer": "42"}', "question or messages"),
        (b'{"question": "Q", "messages": [{"role": "user"}], "answer": "1"}', "either"),
        (b'{"question": "", "answer": "1"}', "question"),
        (b'{"question": 3, "answer": "1"}', "question"),
        (b'{"question": "Q", "answer": true}', "answer"),
        (b'{"question": "Q", "answer": []}', "answer"),
        (b'{"question": "Q", "answer": ["1", "2"]}', "needs a pattern"),
        (b'{"messages": [], "answer": "1"}', "messages"),
        (b'{"messages": [{"content": "x"}], "answer": "1"}', "role"),
        (b'{"question": "Q", "answer": "x\\n#### many"}', "'many' is not a number"),
        (b'{"question": "Q", "answer": "x", "scoring": "fuzzy"}', "scoring.kind"),
        (b'{"question": "Q", "answer": "x", "scoring": {"patern": "x"}}', "scoring.patern"),
        (
            b'{"question": "Q", "answer": "x", "scoring": {"kind": "regex", "pattern": "("}}',
            "pattern",
        ),
        (b'{"question": "Q", "answer": "x", "id": "3"}', "already used in line 3"),
    ],
)
def test_a_broken_line_is_named_and_the_rest_runs(tmp_path: Path, line: bytes, reason: str) -> None:
    result = read(tmp_path, b"", b"  ", GOOD, line, GOOD)
    assert len(result.tasks) == 2
    (broken,) = result.broken
    assert broken.line == 4
    assert reason in broken.reason
    assert "\n" not in broken.reason


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary())
def test_any_bytes_are_tasks_or_broken_lines(tmp_path: Path, content: bytes) -> None:
    result = read(tmp_path, GOOD, content)
    lines = [number for number, line in enumerate(content.split(b"\n"), 2) if line.strip()]
    assert len(result.tasks) - 1 + len(result.broken) == len(lines)
    assert {broken.line for broken in result.broken} <= set(lines)


def test_windows_files_are_read_too(tmp_path: Path) -> None:
    assert len(read(tmp_path, b"\xef\xbb\xbf" + GOOD + b"\r", b"\r", GOOD).tasks) == 2


def test_any_field_can_be_the_group(tmp_path: Path) -> None:
    line = {"question": "Q", "answer": "1", "level": 3}
    assert read(tmp_path, line, group_by="level").tasks[0].group == "3"


def test_a_field_that_looks_like_a_typing_error_is_pointed_out(tmp_path: Path) -> None:
    line = {"question": "Q", "answer": "1", "scorring": "exact", "difficulty": "hard"}
    (advice,) = read(tmp_path, line).advice
    assert "'scorring'" in advice
    assert "'scoring'" in advice


@pytest.mark.parametrize("content", [b"", b"\n\n", b"{", b"{}\n{}"])
def test_a_file_without_a_task_is_an_error(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(UsageError, match="no line is a task"):
        read(tmp_path, content)


@pytest.mark.parametrize("name", list_task_sets())
def test_the_built_in_sets_have_no_broken_line(name: str) -> None:
    result = read_task_file(find_tasks(name))
    assert result.tasks
    assert not result.broken
    assert not result.advice


def test_the_smoke_set_has_every_kind_of_scoring() -> None:
    assert {task.rule.kind for task in read_task_file(find_tasks("smoke")).tasks} == set(
        ScoringKind
    )
