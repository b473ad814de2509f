"""Training thinker-scorer: from the thinker's weights to a process reward model.

One forward pass has a loss at each place that was judged: attention is causal, so that
the scores are those of last-token pooling over each beginning. Knows the model and its
recipe; nothing of how a verdict comes about.
"""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from transformers import LlamaForSequenceClassification, PreTrainedTokenizerFast

from thinking.thinker.batches import IGNORED, batches
from thinking.thinker.folder import THINKER, save
from thinking.thinker.judged import JudgedTokens, judged_replies
from thinking.thinker.training import Recipe, train

LABELS = ("wrong", "right")


@dataclass(frozen=True, slots=True)
class ScorerRecipe(Recipe):
    """A gentler rate: the weights know arithmetic already."""

    minutes: float = 12.0
    peak_rate: float = 1e-3


def train_scorer(seed: int, recipe: Recipe, folder: Path) -> None:
    """Train from the thinker's weights and write the folder; progress on stderr."""
    torch.manual_seed(seed)
    tokenizer = PreTrainedTokenizerFast.from_pretrained(THINKER)
    model = new_scorer(THINKER)
    tokens = JudgedTokens(tokenizer)
    stream = map(tokens.encode_judged, judged_replies(seed))
    train(
        model, batches(stream, recipe.batch_tokens, tokenizer.pad_token_id), recipe, verdict_loss
    )
    save(model, tokenizer, folder)


def new_scorer(folder: Path) -> LlamaForSequenceClassification:
    """The language model of `folder` with a new head of two labels (float32)."""
    model = LlamaForSequenceClassification.from_pretrained(
        folder,
        dtype=torch.float32,
        attn_implementation="eager",  # on a CPU the fastest for sequences this short
        num_labels=len(LABELS),
        id2label=dict(enumerate(LABELS)),
        label2id={label: i for i, label in enumerate(LABELS)},
    )
    nn.init.normal_(model.score.weight, std=0.02)
    return model


def verdict_loss(
    model: LlamaForSequenceClassification, token_ids: Tensor, labels: Tensor
) -> Tensor:
    """Mean cross entropy of the verdicts, int64 ``[rows, length]`` both."""
    is_judged = labels != IGNORED
    with torch.autocast(token_ids.device.type, dtype=torch.bfloat16):
        hidden = model.model(input_ids=token_ids, use_cache=False).last_hidden_state
        logits: Tensor = model.score(hidden[is_judged]).float()
    return nn.functional.cross_entropy(logits, labels[is_judged])
