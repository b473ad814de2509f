"""Fresh chains, and the verdict on searches at equal budgets."""

import re

from benchmarks.proof.claims import Verdict
from benchmarks.proof.fresh_chains import draw_chains
from benchmarks.proof.search_budgets import SETTINGS, Trial, format_cell, make_claim
from thinker.chain import QUESTIONS, Chain, Operation


def make_trials(right: int) -> list[list[Trial]]:
    """Return ten trials for each setting, the first `right` of them right."""
    trials = [Trial(str(n), n < right, 60, 3) for n in range(10)]
    return [trials for _ in SETTINGS]


def test_fresh_chains_are_written_and_worked_out_like_those_of_the_exams() -> None:
    chains = draw_chains(seed=1, num=300)
    assert chains == draw_chains(seed=1, num=300) != draw_chains(seed=2, num=300)
    symbols = [chain for chain in chains if chain.question[0].isdigit()]
    assert 50 < len(symbols) < 150
    for chain in symbols:
        start, steps = re.fullmatch(r"(\d+)(.*) mod 100 =", chain.question).groups()  # type: ignore[union-attr]
        operations = [Operation(s, int(n)) for s, n in re.findall(r"([-+*])(\d)", steps)]
        theirs = Chain(int(start), tuple(operations), 100)
        assert 5 <= len(operations) <= 12
        assert chain.answer == str(theirs.result)
        assert chain.question == "".join(QUESTIONS[0](theirs))


def test_a_search_that_is_certainly_worse_refutes_the_claim() -> None:
    single = make_trials(9)
    assert make_claim("x", make_trials(9), single).verdict is Verdict.SHOWN
    assert make_claim("x", make_trials(8), single).verdict is Verdict.SHOWN
    worse = make_claim("x", make_trials(2), single)
    assert worse.verdict is Verdict.NOT_SHOWN
    assert "−70.0" in worse.measured


def test_refused_searches_are_wrong_and_cost_nothing() -> None:
    refused = [Trial(str(n), False, None, None) for n in range(4)]
    assert format_cell(refused) == "refused"
    assert format_cell([*refused, Trial("a", True, 60, 1)]).endswith(", 60.0")
