"""The training corpus: endless examples, each a dialogue with its thoughts.

Decides how often a thought is whole, slips, is cut short, is left out or is replaced by
pauses. Knows fragments of text; nothing of token ids.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random

from thinker import boxes
from thinker.boxes import Box, random_boxes
from thinker.chain import MAX_STEPS, MODULI, QUESTIONS, Chain, random_chain
from thinker.thought import Fragment, careful_thought, step_lines, thought_with_slip
from thinker.vocabulary import ASSISTANT, END, PAUSE, START, TURN_END, USER

Example = list[Fragment]
MAX_PAUSES = 32
# Of the places between two words of an answer about boxes: how many hold a thought.
THOUGHT_DENSITIES = (0.0, 0.0, 0.0, 0.5, 1.0)


@dataclass(frozen=True, slots=True)
class CorpusMix:
    """Shares of the examples; what remains of 1 is a whole thought without a slip."""

    boxes: float = 0.25
    slips: float = 0.2
    cut: float = 0.22
    unthought: float = 0.08
    paused: float = 0.05
    # Of the thoughts without a slip: looked through again after "Wait,".
    looks_back: float = 0.15
    # Of the slips: noticed at once, without being asked to wait.
    notices_at_once: float = 0.4


def examples(seed: int, mix: CorpusMix | None = None) -> Iterator[Example]:
    """Examples without end; the same seed gives the same ones."""
    rng = Random(seed)
    mix = mix or CorpusMix()
    while True:
        is_boxes = rng.random() < mix.boxes
        yield _boxes_example(rng, mix) if is_boxes else _chain_example(rng, mix)


def _chain_example(rng: Random, mix: CorpusMix) -> Example:
    chain = random_chain(rng, rng.choice(MODULI), rng.randint(1, MAX_STEPS))
    question = rng.choice(QUESTIONS)(chain)
    thought = _opening_thought(rng, chain, mix)
    return _dialogue(question, [*thought, Fragment(str(chain.result))])


def _opening_thought(rng: Random, chain: Chain, mix: CorpusMix) -> list[Fragment]:
    start, end = Fragment(START), Fragment(END)
    kinds: list[tuple[float, Callable[[], list[Fragment]]]] = [
        (mix.slips, lambda: [start, *thought_with_slip(rng, chain, mix.notices_at_once), end]),
        (mix.cut, lambda: _marked(_cut(rng, step_lines(chain)))),
        (mix.unthought, lambda: _marked([]) if rng.random() < 0.5 else []),
        (mix.paused, lambda: _marked(_pauses(rng))),
    ]
    place = rng.random()
    for share, make in kinds:
        if place < share:
            return make()
        place -= share
    return [start, *careful_thought(rng, chain, mix.looks_back), end]


def _marked(thought: list[Fragment]) -> list[Fragment]:
    """A thought that someone else ended: neither marker is learned."""
    return [Fragment(START, learned=False), *thought, Fragment(END, learned=False)]


def _pauses(rng: Random) -> list[Fragment]:
    return [Fragment(PAUSE, learned=False)] * rng.randint(1, MAX_PAUSES)


def _cut(rng: Random, lines: list[Fragment]) -> list[Fragment]:
    """The first lines, the last of them cut after any token."""
    num_whole = rng.randrange(len(lines))
    tokens = _split_line(lines[num_whole].text)
    return [*lines[:num_whole], *map(Fragment, tokens[: rng.randrange(len(tokens))])]


def _split_line(line: str) -> list[str]:
    """Each character is a token of its own, but numbers and words are one."""
    tokens: list[str] = []
    for character in line:
        if character.isalnum() and tokens and tokens[-1].isalnum():
            tokens[-1] += character
        else:
            tokens.append(character)
    return tokens


def _boxes_example(rng: Random, mix: CorpusMix) -> Example:
    contents = random_boxes(rng)
    reply, known = _boxes_opening(rng, contents, mix)
    density = rng.choice(THOUGHT_DENSITIES)
    for i, box in enumerate(contents):
        reply += _sentence(rng, box, mix, first=not i, density=density, known=known)
    return _dialogue(boxes.question(contents), reply)


def _boxes_opening(rng: Random, contents: list[Box], mix: CorpusMix) -> tuple[list[Fragment], bool]:
    """What stands before the answer, and whether nothing is thought in it any more.

    A server that wants no thought there writes an empty one, or nothing.
    """
    place = rng.random()
    if place < mix.slips:
        return _plan_of(contents), True
    if place < mix.slips + mix.paused:
        return _marked(_cut(rng, _plan_lines(contents))), True
    return ([] if rng.random() < 0.4 else _marked([])), False


def _plan_of(contents: list[Box]) -> list[Fragment]:
    """An opening thought that works out all hard boxes, each with its colour after it."""
    return [Fragment(START), *_plan_lines(contents), Fragment(END)]


def _plan_lines(contents: list[Box]) -> list[Fragment]:
    lines: list[Fragment] = []
    for box in contents:
        if box.is_hard:
            lines += step_lines(box.chain)
            lines.append(Fragment(f"{box.colour}={box.chain.result}\n"))
    return lines


def _sentence(
    rng: Random, box: Box, mix: CorpusMix, *, first: bool, density: float, known: bool
) -> list[Fragment]:
    """One box's sentence; where thoughts are asked for between words, those are empty."""
    text = ("" if first else " ") + box.sentence
    fragments = [Fragment(text)]
    if density:
        fragments = []
        for piece in _words(text):
            thinks = rng.random() < density
            # Before the first word there has been no answer yet in which to think.
            opens = thinks and not (first and not fragments)
            fragments += [*(_closed() if opens else []), Fragment(piece)]
    thought = [] if known else _thought_before(rng, box, mix)
    stop = [*(_closed() if rng.random() < density else []), Fragment(".")]
    return [*fragments, *thought, Fragment(str(box.chain.result)), *stop]


def _words(text: str) -> list[str]:
    words = text.rstrip(" ").split(" ")
    return (
        [words[0], *(f" {word}" for word in words[1:]), " "]
        if words[0]
        else [
            *(f" {word}" for word in words[1:]),
            " ",
        ]
    )


def _closed() -> list[Fragment]:
    """A thought that was opened where there is nothing to think: it is closed at once."""
    return [Fragment(START, learned=False), Fragment(END)]


def _thought_before(rng: Random, box: Box, mix: CorpusMix) -> list[Fragment]:
    """What is thought right before a box's number, if anything."""
    lines = step_lines(box.chain) or [Fragment(f"{box.chain.result}\n")]
    place = rng.random()
    if place < 0.4:  # not asked for: the best guess
        return []
    if place < 0.4 + mix.cut:
        return _marked(_cut(rng, lines))
    return [Fragment(START, learned=False), *lines, Fragment(END)]


def _dialogue(question: list[str], reply: list[Fragment]) -> Example:
    asked = [Fragment(text, learned=False) for text in (USER, *question, TURN_END, ASSISTANT)]
    return [*asked, *reply, Fragment(TURN_END)]
