"""Laws of the training corpus: its arithmetic is right, and only the model's part is learned."""

import re
from itertools import islice, pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinker import boxes
from thinker.boxes import make_random_boxes
from thinker.chain import MAX_STEPS, MODULI, QUESTIONS, make_random_chain
from thinker.corpus import CorpusMix, Example, make_examples
from thinker.thought import WAIT, make_step_lines, make_thought_with_slip
from thinker.vocabulary import ASSISTANT, END, START, TURN_END

NUM_EXAMPLES = 3000
STEP = re.compile(r"^(\d+)([-+*])(\d+)=(\d+)$", re.MULTILINE)
seeds = st.integers(0, 2**32)
moduli = st.sampled_from(MODULI)
lengths = st.integers(1, MAX_STEPS)


def join_text(example: Example) -> str:
    return "".join(fragment.text for fragment in example)


def compute_result(sign: str, left: int, right: int, modulus: int) -> int:
    results = {"+": left + right, "-": left - right, "*": left * right}
    return results[sign] % modulus


def draw_examples(seed: int = 7, mix: CorpusMix | None = None) -> list[Example]:
    return list(islice(make_examples(seed, mix), NUM_EXAMPLES))


@given(seeds, moduli, lengths)
def test_each_line_of_a_thought_is_right_and_begins_where_the_last_ended(
    seed: int, modulus: int, num_steps: int
) -> None:
    chain = make_random_chain(Random(seed), modulus, num_steps)
    lines = STEP.findall(join_text(make_step_lines(chain)))
    assert len(lines) == num_steps
    for left, sign, right, result in lines:
        assert int(result) == compute_result(sign, int(left), int(right), modulus)
    assert all(before[3] == after[0] for before, after in pairwise(lines))
    assert (int(lines[0][0]), int(lines[-1][3])) == (chain.start, chain.result)


@given(seeds, moduli, lengths)
def test_a_slip_is_not_learned_and_is_repaired_after_wait(
    seed: int, modulus: int, num_steps: int
) -> None:
    rng = Random(seed)
    chain = make_random_chain(rng, modulus, num_steps)
    thought = make_thought_with_slip(rng, chain, 0.5)
    before, repaired = join_text(thought).split(WAIT)
    assert STEP.findall(repaired)[-1][3] == str(chain.result)
    steps = STEP.findall(before)
    wrong = [
        result
        for left, sign, right, result in steps
        if int(result) != compute_result(sign, int(left), int(right), modulus)
    ]
    not_learned = [f.text for f in thought if not f.learned and f.text != WAIT]
    assert wrong == not_learned
    assert len(wrong) == 1


@given(seeds, moduli, lengths, st.integers(0, len(QUESTIONS) - 1))
def test_a_question_holds_the_whole_chain(
    seed: int, modulus: int, num_steps: int, which: int
) -> None:
    chain = make_random_chain(Random(seed), modulus, num_steps)
    question = "".join(QUESTIONS[which](chain))
    numbers = [int(number) for number in re.findall(r"\d+", question)]
    operands = [operation.operand for operation in chain.operations]
    assert numbers == [chain.start, *operands, modulus]


@given(seeds, moduli)
def test_nothing_short_of_all_steps_tells_the_result(seed: int, modulus: int) -> None:
    """Each operation permutes the residues: from any start another result."""
    (operation,) = make_random_chain(Random(seed), modulus, 1).operations
    assert len({operation.apply(value, modulus) for value in range(modulus)}) == modulus


def test_the_same_seed_gives_the_same_corpus() -> None:
    assert draw_examples(3) == draw_examples(3)
    assert draw_examples(3) != draw_examples(4)


def test_the_question_is_never_learned_and_the_turns_end_always_is() -> None:
    for example in draw_examples():
        prompt_end = [fragment.text for fragment in example].index(ASSISTANT)
        assert not any(fragment.learned for fragment in example[: prompt_end + 1])
        assert example[-1].text == TURN_END
        assert example[-1].learned


def test_every_thought_that_starts_ends() -> None:
    for example in draw_examples():
        markers = [f.text for f in example if f.text in (START, END)]
        assert markers == [START, END] * (len(markers) // 2)


def test_the_corpus_has_every_kind_of_thought_that_the_server_makes() -> None:
    texts = [join_text(example) for example in draw_examples()]
    replies = [text.split(ASSISTANT)[1] for text in texts]
    assert any(START not in reply for reply in replies)
    assert any(reply.startswith(START + END) for reply in replies)
    assert any(re.search(r"holds <\|startofthought\|>\d", reply) for reply in replies)
    assert any(WAIT in reply for reply in replies)
    assert any(re.search(r"[-+*=]<\|endofthought\|>\d", reply) for reply in replies)
    assert any("<|pause|><|pause|>" in reply for reply in replies)


@pytest.mark.parametrize("seed", range(20))
def test_easy_and_hard_boxes_alternate(seed: int) -> None:
    contents = make_random_boxes(Random(seed))
    hard = [box.is_hard for box in contents]
    assert all(before != after for before, after in pairwise(hard))
    question = "".join(boxes.write_question(contents))
    assert all(f"{box.colour} {box.chain.symbols}" in question for box in contents)
