"""The scorer's corpus: endless replies with a verdict at each judged place.

Knows the judge, the replies and their token ids; nothing of the model that learns it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

from thinker.batches import IGNORED, Labelled, TextTokens
from thinker.chain import MAX_STEPS, MODULI, QUESTIONS, Chain, make_random_chain
from thinker.judge import Judge, split_pieces
from thinker.slips import SlipMix, make_flawed_reply
from thinker.vocabulary import ASSISTANT, TURN_END, USER


@dataclass(frozen=True, slots=True)
class JudgedDialogue:
    """Dialogue about a chain: the question's pieces, and the reply's with their verdicts."""

    question: tuple[str, ...]
    reply: tuple[tuple[str, bool | None], ...]


def judge_reply(question: list[str], reply: str, chain: Chain) -> JudgedDialogue:
    """Judge each piece of a reply; the fragments of `question` have token borders."""
    judge = Judge(chain)
    prompt = (USER, *question, TURN_END, ASSISTANT)
    return JudgedDialogue(
        prompt, tuple((piece, judge.read(piece)) for piece in split_pieces(reply))
    )


def make_judged_replies(seed: int, mix: SlipMix | None = None) -> Iterator[JudgedDialogue]:
    """Yield replies endlessly, right and wrong; the same seed gives the same ones."""
    rng = Random(f"judged {seed}")
    mix = mix or SlipMix()
    while True:
        chain = make_random_chain(rng, rng.choice(MODULI), rng.randint(1, MAX_STEPS))
        question = rng.choice(QUESTIONS)(chain)
        yield judge_reply(question, make_flawed_reply(rng, chain, mix), chain)


class JudgedTokens(TextTokens):
    """Encoder of judged dialogues: the verdict (1: right) is at a piece's last token."""

    def encode_judged(self, dialogue: JudgedDialogue) -> Labelled:
        """Return token ids and as many verdicts; ``IGNORED`` where nothing is judged."""
        token_ids = [i for text in dialogue.question for i in self.ids_of(text)]
        labels = [IGNORED] * len(token_ids)
        for piece, verdict in dialogue.reply:
            ids = self.ids_of(piece)
            token_ids += ids
            labels += [IGNORED] * (len(ids) - 1)
            labels.append(IGNORED if verdict is None else int(verdict))
        return token_ids, labels
