"""Measures how well a scorer separates right from wrong in generated replies.

Knows scores and verdicts; not who wrote the replies.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import LlamaForSequenceClassification, PreTrainedTokenizerFast

from thinker.batches import IGNORED
from thinker.chain import Chain
from thinker.judged import JudgedDialogue, JudgedTokens, judge_reply
from thinker.vocabulary import END


@dataclass(frozen=True, slots=True)
class Quality:
    """Shares and areas under the ROC curve (0.5: chance, 1: perfect)."""

    right: float  # of the answers
    steps_right: float  # of the line ends: all steps so far
    auc_answer: float  # of the score after the answer, against a right answer
    auc_thought: float  # of the score after the end marker, against a right answer
    auc_steps: float  # of the scores at line ends, against "all steps so far right"
    agrees_answer: float  # score above a half exactly where the answer is right
    agrees_steps: float
    best_of: float  # share right of the answers with the best score, of `num_samples` a chain


def measure_quality(
    folder: Path,
    questions: Sequence[tuple[Chain, list[str]]],
    written: Sequence[str],
    num_samples: int,
) -> Quality:
    """Judge and score each reply; `num_samples` consecutive ones are of one chain."""
    tokens = JudgedTokens(PreTrainedTokenizerFast.from_pretrained(folder))
    model = LlamaForSequenceClassification.from_pretrained(folder, dtype=torch.float32).eval()
    step_scores: list[float] = []
    step_verdicts: list[bool] = []
    thought_scores, answer_scores, answer_verdicts = [], [], []
    for (chain, question), reply in zip(questions, written, strict=True):
        dialogue = judge_reply(question, reply, chain)
        scores = compute_scores(model, tokens, dialogue)
        places = [place for place in dialogue.reply if place[1] is not None]
        thought = [0.0]
        for (piece, verdict), score in zip(places, scores, strict=True):
            if piece.endswith("\n"):
                step_scores.append(score)
                step_verdicts.append(bool(verdict))
            elif piece == END:
                thought = [score]
        # A reply without an answer is wrong, with its last score.
        thought_scores += thought
        answer_scores.append(scores[-1])
        answer_verdicts.append(END in reply and bool(places[-1][1]))
    right, steps = np.array(answer_verdicts), np.array(step_verdicts)
    answers, lines = np.array(answer_scores), np.array(step_scores)
    best = answers.reshape(-1, num_samples).argmax(axis=1)
    return Quality(
        right=float(right.mean()),
        steps_right=float(steps.mean()),
        auc_answer=compute_auc(answers, right),
        auc_thought=compute_auc(np.array(thought_scores), right),
        auc_steps=compute_auc(lines, steps),
        agrees_answer=float(((answers > 0.5) == right).mean()),
        agrees_steps=float(((lines > 0.5) == steps).mean()),
        best_of=float(right.reshape(-1, num_samples)[np.arange(len(best)), best].mean()),
    )


def compute_scores(
    model: LlamaForSequenceClassification, tokens: JudgedTokens, dialogue: JudgedDialogue
) -> list[float]:
    """Return the probability of "right" at each judged place, as a server gives it per prefix."""
    ids, labels = tokens.encode_judged(dialogue)
    places = torch.tensor(labels) != IGNORED
    with torch.no_grad():
        hidden = model.model(input_ids=torch.tensor([ids]), use_cache=False).last_hidden_state[0]
        probabilities = model.score(hidden[places]).softmax(dim=-1)
    scores: list[float] = probabilities[:, 1].tolist()
    return scores


def compute_auc(scores: NDArray[np.float64], verdicts: NDArray[np.bool_]) -> float:
    """Return the probability that a right one scores above a wrong one; ties count a half."""
    right, wrong = scores[verdicts], np.sort(scores[~verdicts])
    if not len(right) or not len(wrong):
        return float("nan")
    below = np.searchsorted(wrong, right, "left") + np.searchsorted(wrong, right, "right")
    return float(below.mean() / (2 * len(wrong)))
