"""Training thinker-scorer: from the thinker's weights to a process reward model.

One forward pass has a loss at each place that was judged: attention is causal, so that
the scores are those of last-token pooling over each beginning. Knows the model and its
recipe; nothing of how a verdict comes about.
"""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from transformers import AutoConfig, LlamaForSequenceClassification, PreTrainedTokenizerFast

from thinking.thinker.batches import IGNORED, batches
from thinking.thinker.folder import THINKER, save
from thinking.thinker.judged import SUM_IS_RIGHT, SUM_IS_WRONG, JudgedTokens, judged_replies
from thinking.thinker.training import Recipe, train

LABELS = ("wrong", "right")
# Layers on top of the thinker's: one to compare a result with the one expected, one to
# remember that any was wrong.
_MORE_LAYERS = 2


@dataclass(frozen=True, slots=True)
class ScorerRecipe(Recipe):
    """A gentler rate: the weights know arithmetic already."""

    minutes: float = 12.0
    peak_rate: float = 1.5e-3


def train_scorer(seed: int, recipe: Recipe, folder: Path) -> None:
    """Train from the thinker's weights and write the folder; progress on stderr."""
    torch.manual_seed(seed)
    tokenizer = PreTrainedTokenizerFast.from_pretrained(THINKER)
    model = new_scorer(THINKER)
    tokens = JudgedTokens(tokenizer)
    stream = map(tokens.encode_with_sums, judged_replies(seed))
    train(model, batches(stream, recipe.batch_tokens, tokenizer.pad_token_id), recipe, verdict_loss)
    with torch.no_grad():  # the rows for sums have only helped to learn
        model.score.weight = nn.Parameter(model.score.weight[: len(LABELS)].clone())
    # Half the bytes; whoever serves it computes in float32 all the same.
    save(model.to(torch.bfloat16), tokenizer, folder)


def new_scorer(folder: Path) -> LlamaForSequenceClassification:
    """The language model of `folder` with more layers, which do nothing yet, and a new head.

    Beside the two labels' rows the head has two for whether a line's sum is right, which
    training drops at its end.
    """
    model = LlamaForSequenceClassification.from_pretrained(
        folder,
        dtype=torch.float32,
        attn_implementation="eager",  # on a CPU the fastest for sequences this short
        num_hidden_layers=AutoConfig.from_pretrained(folder).num_hidden_layers + _MORE_LAYERS,
        id2label=dict(enumerate(LABELS)),
        label2id={label: i for i, label in enumerate(LABELS)},
    )
    with torch.no_grad():
        for layer in model.model.layers[-_MORE_LAYERS:]:
            layer.self_attn.o_proj.weight.zero_()
            layer.mlp.down_proj.weight.zero_()
    model.score = nn.Linear(model.config.hidden_size, SUM_IS_RIGHT + 1, bias=False)
    nn.init.normal_(model.score.weight, std=0.02)
    return model


def verdict_loss(
    model: LlamaForSequenceClassification, token_ids: Tensor, labels: Tensor
) -> Tensor:
    """Mean cross entropy of the verdicts, and that of the sums; int64 ``[rows, length]`` both."""
    with torch.autocast(token_ids.device.type, dtype=torch.bfloat16):
        hidden = model.model(input_ids=token_ids, use_cache=False).last_hidden_state
        logits: Tensor = model.score(hidden[labels != IGNORED]).float()
    asked = labels[labels != IGNORED]
    is_sum = asked >= SUM_IS_WRONG
    verdicts = nn.functional.cross_entropy(logits[~is_sum, : len(LABELS)], asked[~is_sum])
    if not is_sum.any():
        return verdicts
    sums = nn.functional.cross_entropy(logits[is_sum, len(LABELS) :], asked[is_sum] - SUM_IS_WRONG)
    return verdicts + sums
