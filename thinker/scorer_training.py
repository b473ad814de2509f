"""Training thinker-scorer: a process reward model on top of the thinker.

The thinker's layers stay as they are: they know at each token what should come next. The
layers on top learn to notice where something else came, and what follows from it. One
forward pass has a loss at each place that was judged: attention is causal, so that the
scores are those of last-token pooling over each beginning. Knows the model and its recipe;
nothing of how a verdict comes about.
"""

from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import torch
from torch import Tensor, nn
from transformers import LlamaForCausalLM, LlamaForSequenceClassification, PreTrainedTokenizerFast

from thinker.batches import IGNORED, batches
from thinker.folder import THINKER, read_folder, save
from thinker.judged import JudgedTokens, judged_replies
from thinker.training import Loss, Recipe, train

LABELS = ("wrong", "right")
# To compare each token with the one expected, to remember that any was another, and to
# see that it was repaired.
_MORE_LAYERS = 3
_LOOK_BACK_PAIRS = 6  # of a head's rotating pairs: those that turn fastest
_LOOK_BACK_SHARPNESS = 8.0
_FIT_REPLIES = 100


@dataclass(frozen=True, slots=True)
class ScorerRecipe(Recipe):
    """Small batches: many steps in a short time."""

    minutes: float = 12.0
    batch_tokens: int = 1536
    peak_rate: float = 2e-3


def train_scorer(seed: int, recipe: Recipe, folder: Path) -> None:
    """Train on top of the thinker's weights and write the folder; progress on stderr."""
    torch.manual_seed(seed)
    thinker, tokenizer = read_folder(THINKER)
    model = new_scorer(THINKER, thinker.config.num_hidden_layers)
    replies = map(JudgedTokens(tokenizer).encode_judged, judged_replies(seed))
    stream = batches(replies, recipe.batch_tokens, tokenizer.pad_token_id)
    train(model, stream, recipe, verdict_loss(thinker))
    with torch.no_grad():  # the rows for what was expected have only helped to learn
        model.score.weight = nn.Parameter(model.score.weight[: len(LABELS)].clone())
    # Half the bytes; whoever serves it computes in float32 all the same.
    save(model.to(torch.bfloat16), tokenizer, folder)


def new_scorer(folder: Path, num_layers: int) -> LlamaForSequenceClassification:
    """The frozen layers of `folder`, `num_layers` of them, more that do nothing yet, and a head.

    Beside the two labels' rows the head has two for whether a token was the one expected,
    which training drops at its end.
    """
    model = LlamaForSequenceClassification.from_pretrained(
        folder,
        dtype=torch.float32,
        attn_implementation="eager",  # on a CPU the fastest for sequences this short
        num_hidden_layers=num_layers + _MORE_LAYERS,
        id2label=dict(enumerate(LABELS)),
        label2id={label: i for i, label in enumerate(LABELS)},
    )
    model.model.embed_tokens.requires_grad_(False)
    model.model.layers[:num_layers].requires_grad_(False)
    for layer in model.model.layers[num_layers:]:
        nn.init.zeros_(layer.self_attn.o_proj.weight)
        nn.init.zeros_(layer.mlp.down_proj.weight)
    model.score = nn.Linear(model.config.hidden_size, 2 * len(LABELS), bias=False)
    nn.init.normal_(model.score.weight, std=0.02)
    _look_one_back(model, num_layers)
    return model


def _look_one_back(model: LlamaForSequenceClassification, index: int) -> None:
    """Let all heads of a layer begin by looking at the token before: what was expected is there.

    By rotary embedding, two constant vectors of which one is turned by one place agree best
    one place apart; the constants come from a linear fit of 1 to the layer's inputs.
    """
    layer, ones = model.model.layers[index], _constant_direction(model, index)
    size = model.config.head_dim
    turn = 10000.0 ** (-2 * torch.arange(_LOOK_BACK_PAIRS) / size)
    key, query = torch.zeros(size), torch.zeros(size)
    key[:_LOOK_BACK_PAIRS] = _LOOK_BACK_SHARPNESS
    query[:_LOOK_BACK_PAIRS] = _LOOK_BACK_SHARPNESS * turn.cos()
    query[size // 2 : size // 2 + _LOOK_BACK_PAIRS] = -_LOOK_BACK_SHARPNESS * turn.sin()
    heads = model.config.num_attention_heads
    with torch.no_grad():
        layer.self_attn.q_proj.weight.copy_(torch.outer(query.repeat(heads), ones))
        layer.self_attn.k_proj.weight.copy_(torch.outer(key.repeat(heads), ones))


def _constant_direction(model: LlamaForSequenceClassification, index: int) -> Tensor:
    """The vector whose product with any normalised input of a layer is nearest to 1."""
    tokens = JudgedTokens(PreTrainedTokenizerFast.from_pretrained(THINKER))
    inputs = []
    with torch.no_grad():
        for dialogue in islice(judged_replies(0), _FIT_REPLIES):
            ids = torch.tensor([tokens.encode_judged(dialogue)[0]])
            outputs = model.model(input_ids=ids, use_cache=False, output_hidden_states=True)
            inputs.append(model.model.layers[index].input_layernorm(outputs.hidden_states[index]))
    states = torch.cat(inputs, dim=1)[0]
    constant: Tensor = torch.linalg.lstsq(states, torch.ones(len(states), 1)).solution[:, 0]
    return constant


def verdict_loss(thinker: LlamaForCausalLM) -> Loss:
    """Cross entropies of the verdicts, and of whether a token is the one the thinker expected."""
    num_layers = thinker.config.num_hidden_layers

    def loss(model: LlamaForSequenceClassification, token_ids: Tensor, labels: Tensor) -> Tensor:
        with torch.autocast(token_ids.device.type, dtype=torch.bfloat16):
            outputs = model.model(input_ids=token_ids, use_cache=False, output_hidden_states=True)
            logits: Tensor = model.score(outputs.last_hidden_state).float()
            with torch.no_grad():
                hidden = thinker.model.norm(outputs.hidden_states[num_layers][:, :-1])
                expected = thinker.lm_head(hidden).argmax(dim=-1) == token_ids[:, 1:]
        verdicts, surprises = logits[labels != IGNORED], logits[:, 1:, len(LABELS) :]
        return nn.functional.cross_entropy(
            verdicts[:, : len(LABELS)], labels[labels != IGNORED]
        ) + nn.functional.cross_entropy(surprises.flatten(0, 1), expected.long().flatten())

    return loss
