"""The training corpus: endless examples, each a dialogue with its thoughts.

Decides how often a thought is complete, slips, is cut short, is left out or is replaced by
pauses. Knows fragments of text; nothing of token ids.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random

from thinker import boxes
from thinker.boxes import Box, make_random_boxes
from thinker.chain import MAX_STEPS, MODULI, QUESTIONS, Chain, make_random_chain
from thinker.thought import Fragment, make_careful_thought, make_step_lines, make_thought_with_slip
from thinker.vocabulary import ASSISTANT, END, PAUSE, START, TURN_END, USER

Example = list[Fragment]
MAX_PAUSES = 32
# Share of the places between two words of an answer about boxes that hold a thought.
THOUGHT_DENSITIES = (0.0, 0.0, 0.0, 0.5, 1.0)


@dataclass(frozen=True, slots=True)
class CorpusMix:
    """Shares of the examples; the rest has a complete thought without a slip."""

    boxes: float = 0.25
    slips: float = 0.2
    cut: float = 0.22
    unthought: float = 0.08
    paused: float = 0.05
    # Of the thoughts without a slip: checked again after "Wait,".
    looks_back: float = 0.15
    # Of the slips: noticed at once, without a "Wait," from outside.
    notices_at_once: float = 0.4


def make_examples(seed: int, mix: CorpusMix | None = None) -> Iterator[Example]:
    """Yield examples endlessly; the same seed gives the same ones."""
    rng = Random(seed)
    mix = mix or CorpusMix()
    while True:
        is_boxes = rng.random() < mix.boxes
        yield _make_boxes_example(rng, mix) if is_boxes else _make_chain_example(rng, mix)


def _make_chain_example(rng: Random, mix: CorpusMix) -> Example:
    chain = make_random_chain(rng, rng.choice(MODULI), rng.randint(1, MAX_STEPS))
    question = rng.choice(QUESTIONS)(chain)
    thought = _make_opening_thought(rng, chain, mix)
    return _make_dialogue(question, [*thought, Fragment(str(chain.result))])


def _make_opening_thought(rng: Random, chain: Chain, mix: CorpusMix) -> list[Fragment]:
    start, end = Fragment(START), Fragment(END)
    kinds: list[tuple[float, Callable[[], list[Fragment]]]] = [
        (mix.slips, lambda: [start, *make_thought_with_slip(rng, chain, mix.notices_at_once), end]),
        (mix.cut, lambda: _add_markers(_cut(rng, make_step_lines(chain)))),
        (mix.unthought, lambda: _add_markers([]) if rng.random() < 0.5 else []),
        (mix.paused, lambda: _add_markers(_make_pauses(rng))),
    ]
    place = rng.random()
    for share, make in kinds:
        if place < share:
            return make()
        place -= share
    return [start, *make_careful_thought(rng, chain, mix.looks_back), end]


def _add_markers(thought: list[Fragment]) -> list[Fragment]:
    """Return a thought that was ended from outside: neither marker is learned."""
    return [Fragment(START, learned=False), *thought, Fragment(END, learned=False)]


def _make_pauses(rng: Random) -> list[Fragment]:
    return [Fragment(PAUSE, learned=False)] * rng.randint(1, MAX_PAUSES)


def _cut(rng: Random, lines: list[Fragment]) -> list[Fragment]:
    """Return the first lines, the last of them cut after any token."""
    num_whole = rng.randrange(len(lines))
    tokens = _split_line(lines[num_whole].text)
    return [*lines[:num_whole], *map(Fragment, tokens[: rng.randrange(len(tokens))])]


def _split_line(line: str) -> list[str]:
    """Split a line into tokens: each number, each word and each other character is one."""
    tokens: list[str] = []
    for character in line:
        if character.isalnum() and tokens and tokens[-1].isalnum():
            tokens[-1] += character
        else:
            tokens.append(character)
    return tokens


def _make_boxes_example(rng: Random, mix: CorpusMix) -> Example:
    contents = make_random_boxes(rng)
    reply, known = _make_boxes_opening(rng, contents, mix)
    density = rng.choice(THOUGHT_DENSITIES)
    for i, box in enumerate(contents):
        reply += _make_sentence(rng, box, mix, first=not i, density=density, known=known)
    return _make_dialogue(boxes.write_question(contents), reply)


def _make_boxes_opening(
    rng: Random, contents: list[Box], mix: CorpusMix
) -> tuple[list[Fragment], bool]:
    """Return the text before the answer, and whether the answer then needs no more thoughts.

    A server that wants no thought there writes an empty one, or nothing.
    """
    place = rng.random()
    if place < mix.slips:
        return _make_plan(contents), True
    if place < mix.slips + mix.paused:
        return _add_markers(_cut(rng, _make_plan_lines(contents))), True
    return ([] if rng.random() < 0.4 else _add_markers([])), False


def _make_plan(contents: list[Box]) -> list[Fragment]:
    """Return an opening thought that works out all hard boxes, each with its colour after it."""
    return [Fragment(START), *_make_plan_lines(contents), Fragment(END)]


def _make_plan_lines(contents: list[Box]) -> list[Fragment]:
    lines: list[Fragment] = []
    for box in contents:
        if box.is_hard:
            lines += make_step_lines(box.chain)
            lines.append(Fragment(f"{box.colour}={box.chain.result}\n"))
    return lines


def _make_sentence(
    rng: Random, box: Box, mix: CorpusMix, *, first: bool, density: float, known: bool
) -> list[Fragment]:
    """Return one box's sentence; thoughts that are opened between words are empty."""
    text = ("" if first else " ") + box.sentence
    fragments = [Fragment(text)]
    if density:
        fragments = []
        for piece in _split_words(text):
            thinks = rng.random() < density
            # Before the first word there is no answer yet in which to think.
            opens = thinks and not (first and not fragments)
            fragments += [*(_make_empty_thought() if opens else []), Fragment(piece)]
    thought = [] if known else _make_thought_before(rng, box, mix)
    stop = [*(_make_empty_thought() if rng.random() < density else []), Fragment(".")]
    return [*fragments, *thought, Fragment(str(box.chain.result)), *stop]


def _split_words(text: str) -> list[str]:
    words = text.rstrip(" ").split(" ")
    return (
        [words[0], *(f" {word}" for word in words[1:]), " "]
        if words[0]
        else [
            *(f" {word}" for word in words[1:]),
            " ",
        ]
    )


def _make_empty_thought() -> list[Fragment]:
    """Return a thought that was opened where there is nothing to think, and is closed at once."""
    return [Fragment(START, learned=False), Fragment(END)]


def _make_thought_before(rng: Random, box: Box, mix: CorpusMix) -> list[Fragment]:
    """Return the thought right before a box's number, if there is one."""
    lines = make_step_lines(box.chain) or [Fragment(f"{box.chain.result}\n")]
    place = rng.random()
    if place < 0.4:  # no thought: the best guess
        return []
    if place < 0.4 + mix.cut:
        return _add_markers(_cut(rng, lines))
    return [Fragment(START, learned=False), *lines, Fragment(END)]


def _make_dialogue(question: list[str], reply: list[Fragment]) -> Example:
    prompt = [Fragment(text, learned=False) for text in (USER, *question, TURN_END, ASSISTANT)]
    return [*prompt, *reply, Fragment(TURN_END)]
