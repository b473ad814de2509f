"""A journal is read back whatever interrupted its writing."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clients.errors import UsageError
from clients.evaluation.journal import Journal
from clients.evaluation.reply import Reply
from clients.evaluation.request_settings import Job, RequestSettings
from clients.evaluation.scoring import ScoringRule
from clients.evaluation.task import Task

CONFIGURATION = {"model": "m", "seed": 0}
TASK = Task("1", ({"role": "user", "content": "?"},), ("42",), ScoringRule().resolve(["42"]))


def make_job(budget: int) -> Job:
    return Job(TASK, budget, 0, RequestSettings().make_body("m", TASK, budget, 0))


def make_reply(text: str = "42") -> Reply:
    return Reply(text=text, seconds=1.0)


def write_journal(path: Path, count: int) -> None:
    with Journal(path, CONFIGURATION) as journal:
        for budget in range(count):
            journal.record(make_job(budget), make_reply(f"{budget}\n\u2028"))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_journal_cut_anywhere_keeps_all_complete_lines_and_accepts_new_ones(
    tmp_path: Path, data: st.DataObject
) -> None:
    path = tmp_path / "journal.jsonl"
    path.unlink(missing_ok=True)
    write_journal(path, 3)
    content = path.read_bytes()
    cut = content[: data.draw(st.integers(0, len(content)))]
    path.write_bytes(cut)
    num_whole = max(cut.count(b"\n") - 1, 0)
    with Journal(path, CONFIGURATION) as journal:
        assert len(journal.replies) == num_whole
        assert journal.num_unreadable == 0
        journal.record(make_job(9), make_reply())
    with Journal(path, CONFIGURATION) as journal:
        assert len(journal.replies) == num_whole + 1
        assert journal.replies[make_job(9).key] == make_reply()


def test_a_corrupt_line_is_requested_again_and_the_others_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    write_journal(path, 3)
    lines = path.read_bytes().splitlines(keepends=True)
    lines[2] = b"\x00\xff\n"
    path.write_bytes(b"".join(lines))
    with Journal(path, CONFIGURATION) as journal:
        assert journal.num_unreadable == 1
        assert journal.replies.keys() == {make_job(0).key, make_job(2).key}


def test_another_configuration_is_refused_and_nothing_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    write_journal(path, 2)
    before = path.read_bytes()
    with pytest.raises(UsageError, match="seed: 0 then, 1 now"):
        Journal(path, {**CONFIGURATION, "seed": 1}).__enter__()
    assert path.read_bytes() == before
    with Journal(path, {**CONFIGURATION, "seed": 1}, restart=True) as journal:
        assert not journal.replies


@pytest.mark.parametrize("text", ["my notes", "my notes\nmore\nthe last line has no end"])
def test_a_file_that_is_no_journal_is_left_alone(tmp_path: Path, text: str) -> None:
    path = tmp_path / "notes.txt"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match="not a journal"):
        Journal(path, CONFIGURATION).__enter__()
    assert path.read_text(encoding="utf-8") == text


def test_two_runs_cannot_write_one_journal(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    with Journal(path, CONFIGURATION), pytest.raises(UsageError, match="another run"):
        Journal(path, CONFIGURATION).__enter__()
    with Journal(path, CONFIGURATION):
        pass


def test_a_key_tells_requests_apart_and_nothing_else() -> None:
    other_answer = Task("1", TASK.messages, ("41",), ScoringRule().resolve(["41"]))
    same = Job(other_answer, 1, 0, RequestSettings().make_body("m", other_answer, 1, 0))
    assert same.key == make_job(1).key
    assert make_job(2).key != make_job(1).key
    assert Job(TASK, 1, 1, make_job(1).body).key != make_job(1).key
