"""The scorer's corpus is right and never looks ahead; the shipped scorer can judge."""

import json
import re
from importlib.resources import files
from itertools import islice
from pathlib import Path
from random import Random

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import LlamaForSequenceClassification

from server.hub.model_resolution import resolve_model
from thinker.batches import IGNORED
from thinker.chain import MAX_STEPS, MODULI, QUESTIONS, Chain, Operation, make_random_chain
from thinker.judge import Judge, split_pieces
from thinker.judged import JudgedDialogue, JudgedTokens, judge_reply, make_judged_replies
from thinker.scorer_quality import compute_auc, compute_scores
from thinker.slips import SlipMix, make_flawed_reply
from thinker.thought import make_step_lines
from thinker.vocabulary import END, START, TURN_END, load_tokenizer

PACKAGE = Path(str(files("thinker")))
SCORER = PACKAGE / "scorer"
MAX_BYTES = 5_000_000
NUM_REPLIES = 1500
CHAIN = Chain(7, (Operation("+", 3), Operation("*", 9), Operation("-", 4)), 10)  # 7 0 0 6
seeds = st.integers(0, 2**32)


def judge_pieces(reply: str, chain: Chain = CHAIN) -> list[bool | None]:
    judge = Judge(chain)
    return [judge.read(piece) for piece in split_pieces(reply)]


def draw_replies(seed: int, num: int = NUM_REPLIES) -> list[JudgedDialogue]:
    return list(islice(make_judged_replies(seed), num))


def draw_case(seed: int) -> tuple[Chain, str]:
    rng = Random(seed)
    chain = make_random_chain(rng, rng.choice(MODULI), rng.randint(1, MAX_STEPS))
    return chain, make_flawed_reply(rng, chain, SlipMix())


@given(seeds)
def test_a_verdict_never_looks_ahead(seed: int) -> None:
    chain, reply = draw_case(seed)
    pieces, verdicts = split_pieces(reply), judge_pieces(reply, chain)
    assert "".join(pieces) == reply
    for i in range(len(pieces)):
        assert judge_pieces("".join(pieces[: i + 1]), chain) == verdicts[: i + 1]


@given(seeds)
def test_without_a_look_back_steps_are_right_up_to_the_first_that_is_not_the_chains(
    seed: int,
) -> None:
    chain, reply = draw_case(seed)
    thought, end, _ = reply.removeprefix(START).partition(END)
    if "Wait" in thought or not end or not reply.startswith(START):
        return
    right = [fragment.text for fragment in make_step_lines(chain)]
    lines = re.findall(r".*\n", thought)
    expected = [lines[: i + 1] == right[: i + 1] for i in range(len(lines))]
    verdicts = judge_pieces(f"{START}{''.join(lines)}{END}", chain)
    assert verdicts == [True, *expected, lines == right]


@given(seeds)
def test_an_answer_is_right_if_it_is_the_result_whatever_was_thought(seed: int) -> None:
    chain, reply = draw_case(seed)
    answer = re.split(r"<\|\w+\|>", reply.removesuffix(TURN_END))[-1]
    assert judge_pieces(reply, chain)[-2:] == [answer == str(chain.result)] * 2


@pytest.mark.parametrize(
    ("reply", "verdicts"),
    [
        ("7+3=0\n0*9=0\n0-4=6\n", "✓✓✓"),
        ("7+3=1\n", "✗"),
        ("7+2=9\n", "✗"),
        ("7+3=0\n0-4=6\n", "✓✗"),  # a step is left out
        ("7+3=0\n7+3=0\n", "✓✗"),  # a step is done twice
        ("7+3=0\n2*9=8\n", "✓✗"),  # another value than the last result
        ("7+3=1\n1*9=9\n\nWait,\n7+3=0\n0*9=0\n", "✗✗✗✗✓✓"),
        ("7+3=0\n0*9=1\n\nWait,\nright\n", "✓✗✗✗✗"),
        ("7+3=0\n0*9=1\n\nWait,\n1-4=7\n", "✓✗✗✗✗"),  # goes on from the slip
        ("7+3=0\n\nWait,\n0-4=6\n", "✓✓✓✗"),
        ("7+3=0\nblue=0\n", "✓✗"),
    ],
)
def test_each_kind_of_slip_is_wrong_until_it_is_repaired(reply: str, verdicts: str) -> None:
    assert judge_pieces(START + reply) == [True, *(mark == "✓" for mark in verdicts)]


@pytest.mark.parametrize("rest", ["", "0-", "0-4="])
def test_a_thought_that_ended_before_its_last_step_is_wrong_once_it_is_closed(rest: str) -> None:
    *before, closed, answered = judge_pieces(f"{START}7+3=0\n0*9=0\n{rest}{END}6")
    assert all(verdict is not False for verdict in before)
    assert (closed, answered) == (False, True)


def test_the_corpus_holds_right_and_wrong_at_each_kind_of_place() -> None:
    seen = {
        ("line" if piece.endswith("\n") else "answer" if piece.isdigit() else piece, verdict)
        for dialogue in draw_replies(7)
        for piece, verdict in dialogue.reply
    }
    places = ("line", END, "answer", TURN_END)
    assert {(place, right) for place in places for right in (True, False)} <= seen


def test_the_same_seed_gives_the_same_replies() -> None:
    assert draw_replies(3, 50) == draw_replies(3, 50)
    assert draw_replies(3, 50) != draw_replies(4, 50)


# The shipped folder


@pytest.fixture(scope="module")
def tokens() -> JudgedTokens:
    return JudgedTokens(load_tokenizer(SCORER))


@pytest.fixture(scope="module")
def scorer() -> LlamaForSequenceClassification:
    return LlamaForSequenceClassification.from_pretrained(SCORER, dtype=torch.float32).eval()


def test_each_verdict_stands_at_its_pieces_last_token(tokens: JudgedTokens) -> None:
    tokenizer = load_tokenizer(SCORER)
    for dialogue in draw_replies(5, 100):
        ids, labels = tokens.encode_judged(dialogue)
        text = "".join(dialogue.question)
        for piece, verdict in dialogue.reply:
            text += piece
            place = len(tokenizer.encode(text, add_special_tokens=False)) - 1
            assert labels[place] == (IGNORED if verdict is None else verdict)
        assert tokenizer.encode(text, add_special_tokens=False) == ids


def test_it_is_found_by_name_is_small_and_has_the_thinkers_tokenizer() -> None:
    resolved = resolve_model("thinker-scorer")
    assert Path(resolved.path_or_hub_id) == SCORER
    assert sum(file.stat().st_size for file in SCORER.iterdir()) <= MAX_BYTES
    config = json.loads((SCORER / "config.json").read_text())
    assert config["architectures"] == ["LlamaForSequenceClassification"]
    assert config["id2label"] == {"0": "wrong", "1": "right"}
    for name in ("tokenizer.json", "chat_template.jinja"):
        assert (SCORER / name).read_bytes() == (PACKAGE / "weights" / name).read_bytes()


def test_it_tells_right_thoughts_from_wrong_ones(
    scorer: LlamaForSequenceClassification, tokens: JudgedTokens
) -> None:
    scores: list[float] = []
    verdicts: list[bool] = []
    for dialogue in draw_replies(11, 80):
        verdicts += [verdict for _, verdict in dialogue.reply if verdict is not None]
        scores += compute_scores(scorer, tokens, dialogue)
    assert compute_auc(np.array(scores), np.array(verdicts)) > 0.8


def test_its_scores_within_a_reply_are_those_of_last_token_pooling(
    scorer: LlamaForSequenceClassification, tokens: JudgedTokens
) -> None:
    dialogue = judge_reply(
        QUESTIONS[0](CHAIN), f"{START}7+3=0\n0*9=0\n0-4=6\n{END}6{TURN_END}", CHAIN
    )
    ids, labels = tokens.encode_judged(dialogue)
    places = [i for i, label in enumerate(labels) if label != IGNORED]
    for place, score in zip(places, compute_scores(scorer, tokens, dialogue), strict=True):
        with torch.no_grad():
            logits = scorer(input_ids=torch.tensor([ids[: place + 1]])).logits
        assert logits.softmax(dim=-1)[0, 1].item() == pytest.approx(score, abs=1e-4)
