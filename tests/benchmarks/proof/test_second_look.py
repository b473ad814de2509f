"""The effect of a "Wait," is separated from that of chance."""

from benchmarks.proof.claims import Verdict
from benchmarks.proof.second_look import (
    Reply,
    SecondLook,
    Tally,
    Task,
    assign_seeds,
    compute_right_shares,
    count_looks,
    make_gain_claim,
    make_repair_claim,
)

THOUGHT = "7+3=0\n0*9=0\n"
WAITED = "7+3=0\n0*9=0\n\nWait,\nright\n"


def look(
    first: bool, second: bool, anew: bool | None = None, after: str = WAITED, task: str = "a"
) -> SecondLook:
    replies = (Reply(first, THOUGHT, 12), Reply(second, after, 16))
    return SecondLook(task, 0, *replies, None if anew is None else Reply(anew, THOUGHT, 12))


def test_repaired_spoilt_and_right_anew_are_counted_apart() -> None:
    looks = [
        look(False, True, anew=False),
        look(False, False, anew=True),
        look(False, False, anew=False),
        look(True, True),
        look(True, False),
    ]
    expected = Tally(
        num_wrong=3, num_repaired=1, num_right=2, num_spoilt=1, num_right_anew=1, num_unfair=0
    )
    assert count_looks(looks) == expected


def test_another_thought_is_no_second_look() -> None:
    for after in ("7+3=1\n\nWait,\nright\n", THOUGHT, THOUGHT + "0+1=1\n", ""):
        assert not look(False, True, after=after).is_fair
        assert count_looks([look(False, True, after=after)]).num_unfair == 1
        assert count_looks([look(False, True, after=after)]).num_repaired == 0


def test_a_thought_that_waits_by_itself_must_wait_once_more() -> None:
    first = Reply(True, WAITED, 16)
    assert not SecondLook("a", 0, first, Reply(True, WAITED, 16), None).is_fair
    assert SecondLook("a", 0, first, Reply(True, WAITED + "\nWait,\nright\n", 20), None).is_fair


def test_a_gain_needs_more_repaired_than_spoilt() -> None:
    repaired = [look(False, True, task=str(n)) for n in range(30)]
    kept = [look(True, True, task=str(n)) for n in range(30, 60)]
    spoilt = [look(True, False, task=str(n)) for n in range(60, 90)]
    assert make_gain_claim("x", [*repaired, *kept]).verdict is Verdict.SHOWN
    assert make_gain_claim("x", [*repaired, *kept, *spoilt]).verdict is Verdict.NOT_SHOWN
    assert make_gain_claim("x", [*kept, *spoilt]).verdict is Verdict.NOT_SHOWN


def test_no_repair_is_no_share() -> None:
    assert make_repair_claim("x", count_looks([look(False, False)])).verdict is Verdict.NOT_SHOWN
    assert make_repair_claim("x", count_looks([look(False, True)])).verdict is Verdict.SHOWN


def test_samples_of_a_task_are_one_share() -> None:
    right, wrong = Reply(True, "", 0), Reply(False, "", 0)
    assert compute_right_shares([("a", right), ("a", wrong), ("b", right)]) == {"a": 0.5, "b": 1.0}


def test_no_two_questions_have_the_same_seed() -> None:
    tasks = [Task(name, "?", "1") for name in "abc"]
    pairs = assign_seeds(tasks, 4)
    assert len({seed for _, seed in pairs}) == 12
    assert [sum(task.id == name for task, _ in pairs) for name in "abc"] == [4, 4, 4]
