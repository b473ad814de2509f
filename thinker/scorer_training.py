"""Trains thinker-scorer: a process reward model on top of the thinker.

The thinker's layers stay frozen: they know at each token what should come next. The layers on
top learn to notice where something else came, and what follows from it. One forward pass has a
loss at each judged place: attention is causal, so the scores equal those of last-token pooling
over each prefix. Knows the model and its recipe; not how a verdict is reached.
"""

from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import torch
from torch import Tensor, nn
from transformers import LlamaForCausalLM, LlamaForSequenceClassification, PreTrainedTokenizerFast

from thinker.batches import IGNORED, make_batches
from thinker.folder import THINKER, read_folder, save
from thinker.judged import JudgedTokens, make_judged_replies
from thinker.training import Loss, Recipe, train

LABELS = ("wrong", "right")
# One to compare each token with the expected one, one to remember a difference, and one to
# see its repair.
_MORE_LAYERS = 3
_LOOK_BACK_PAIRS = 6  # of a head's rotary pairs: those that rotate fastest
_LOOK_BACK_SHARPNESS = 8.0
_FIT_REPLIES = 100


@dataclass(frozen=True, slots=True)
class ScorerRecipe(Recipe):
    """Recipe with small batches: many steps in a short time."""

    minutes: float = 12.0
    batch_tokens: int = 1536
    peak_rate: float = 2e-3


def train_scorer(seed: int, recipe: Recipe, folder: Path) -> None:
    """Train on top of the thinker's weights and write the folder; progress on stderr."""
    torch.manual_seed(seed)
    thinker, tokenizer = read_folder(THINKER)
    model = make_scorer(THINKER, thinker.config.num_hidden_layers)
    replies = map(JudgedTokens(tokenizer).encode_judged, make_judged_replies(seed))
    stream = make_batches(replies, recipe.batch_tokens, tokenizer.pad_token_id)
    train(model, stream, recipe, make_verdict_loss(thinker))
    with torch.no_grad():  # the rows for expected tokens only helped training
        model.score.weight = nn.Parameter(model.score.weight[: len(LABELS)].clone())
    # Half the bytes; a server computes in float32 anyway.
    save(model.to(torch.bfloat16), tokenizer, folder)


def make_scorer(folder: Path, num_layers: int) -> LlamaForSequenceClassification:
    """Return the frozen layers of `folder` (`num_layers`), more that do nothing yet, and a head.

    The head has two rows for the labels and two for whether a token was the expected one, which
    training drops at its end.
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
    _attend_to_previous_token(model, num_layers)
    return model


def _attend_to_previous_token(model: LlamaForSequenceClassification, index: int) -> None:
    """Make all heads of a layer attend to the previous token first: it holds what was expected.

    With rotary embedding, two constant vectors, one of them turned by one place, agree best one
    place apart; the constants come from a linear fit of 1 to the layer's inputs.
    """
    layer, ones = model.model.layers[index], _fit_constant_direction(model, index)
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


def _fit_constant_direction(model: LlamaForSequenceClassification, index: int) -> Tensor:
    """Return the vector whose product with any normalised input of a layer is nearest to 1."""
    tokens = JudgedTokens(PreTrainedTokenizerFast.from_pretrained(THINKER))
    inputs = []
    with torch.no_grad():
        for dialogue in islice(make_judged_replies(0), _FIT_REPLIES):
            ids = torch.tensor([tokens.encode_judged(dialogue)[0]])
            outputs = model.model(input_ids=ids, use_cache=False, output_hidden_states=True)
            inputs.append(model.model.layers[index].input_layernorm(outputs.hidden_states[index]))
    states = torch.cat(inputs, dim=1)[0]
    constant: Tensor = torch.linalg.lstsq(states, torch.ones(len(states), 1)).solution[:, 0]
    return constant


def make_verdict_loss(thinker: LlamaForCausalLM) -> Loss:
    """Return the loss: cross entropies of the verdicts, and of whether a token was expected."""
    num_layers = thinker.config.num_hidden_layers

    def compute_loss(
        model: LlamaForSequenceClassification, token_ids: Tensor, labels: Tensor
    ) -> Tensor:
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

    return compute_loss
