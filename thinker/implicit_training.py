"""Trains thinker-implicit: distils the thinker to answer without writing its steps.

After Deng et al., "Implicit Chain of Thought Reasoning via Knowledge Distillation"
(arXiv 2311.01460): at the place before the answer, each layer of the student is trained towards
the state of the teacher's same layer at the result of one step. That step lies as far along the
thought as the layer lies up the network. Unlike in the paper, the student has no emulator: it is
trained in one stage, on both losses at once. Knows models and recipe; not how pairs are made.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from transformers import AddedToken, LlamaForCausalLM, PreTrainedTokenizerFast

from thinker.batches import TextTokens, make_batches
from thinker.corpus import make_examples
from thinker.folder import THINKER, read_folder, write_folder
from thinker.implicit_corpus import IMPLICIT, PairTokens, make_pair_batches
from thinker.training import Loss, Recipe, compute_next_token_loss, train


@dataclass(frozen=True, slots=True)
class ImplicitRecipe(Recipe):
    """Recipe with `num_pairs` silent chains per step, plus `batch_tokens` of the own corpus."""

    minutes: float = 12.0
    batch_tokens: int = 1024
    peak_rate: float = 1.5e-3
    num_pairs: int = 64
    # Weight of the hidden states' distance, relative to the cross entropies.
    distance_weight: float = 0.5


def train_implicit(seed: int, recipe: ImplicitRecipe, folder: Path) -> None:
    """Train from the thinker's weights and write the folder; progress on stderr."""
    torch.manual_seed(seed)
    teacher, _ = read_folder(THINKER)
    teacher.eval()
    student, tokenizer = make_student(THINKER)
    pad_id = tokenizer.pad_token_id
    own = make_batches(
        map(TextTokens(tokenizer).encode, make_examples(seed)), recipe.batch_tokens, pad_id
    )
    pairs = PairTokens(tokenizer).make_pairs(seed, student.config.num_hidden_layers)
    stream = _join(own, make_pair_batches(pairs, recipe.num_pairs, pad_id))
    train(student, stream, recipe, make_distillation_loss(teacher, recipe.distance_weight))
    write_folder(student, tokenizer, folder)


def make_student(folder: Path) -> tuple[LlamaForCausalLM, PreTrainedTokenizerFast]:
    """Return the thinker with one more token, which begins as a pause."""
    student, tokenizer = read_folder(folder)
    tokenizer.add_tokens(
        [AddedToken(IMPLICIT, special=True, normalized=False)], special_tokens=True
    )
    student.resize_token_embeddings(len(tokenizer))
    with torch.no_grad():
        embeddings = student.get_input_embeddings().weight
        embeddings[-1] = embeddings[tokenizer.convert_tokens_to_ids("<|pause|>")]
    return student, tokenizer


def make_distillation_loss(teacher: LlamaForCausalLM, distance_weight: float) -> Loss:
    """Return the loss: cross entropies of own corpus and silent answers, and teacher distance."""

    def compute_loss(
        student: LlamaForCausalLM,
        own_ids: Tensor,
        own_labels: Tensor,
        ids: Tensor,
        labels: Tensor,
        places: Tensor,
        teacher_ids: Tensor,
        teacher_places: Tensor,
    ) -> Tensor:
        with torch.autocast(ids.device.type, dtype=torch.bfloat16):
            with torch.no_grad():
                targets = select_states(compute_layers(teacher, teacher_ids), teacher_places)
            hidden = compute_layers(student, ids)
            states = select_states(hidden, places[:, None].expand_as(teacher_places))
            learned = labels[:, 1:] >= 0
            logits = student.lm_head(hidden[-1][:, :-1][learned]).float()
        silent = nn.functional.cross_entropy(logits, labels[:, 1:][learned])
        own = compute_next_token_loss(student, own_ids, own_labels)
        return own + silent + distance_weight * compute_distance(states, targets)

    return compute_loss


def compute_layers(model: LlamaForCausalLM, token_ids: Tensor) -> tuple[Tensor, ...]:
    """Return the output of each layer, ``[rows, length, width]``; the last one normalised."""
    outputs = model.model(input_ids=token_ids, use_cache=False, output_hidden_states=True)
    layers: tuple[Tensor, ...] = outputs.hidden_states[1:]
    return layers


def select_states(layers: tuple[Tensor, ...], places: Tensor) -> Tensor:
    """Return layer l's state at the l-th place of each row: float32 ``[rows, layers, width]``."""
    rows = torch.arange(len(places), device=places.device)
    columns = [layer[rows, places[:, i]] for i, layer in enumerate(layers)]
    return torch.stack(columns, dim=1).float()


def compute_distance(states: Tensor, targets: Tensor) -> Tensor:
    """Return the mean squared error, each layer's relative to its targets' variance among rows."""
    spread = targets.var(dim=0, unbiased=False).mean(dim=-1).clamp_min(1e-6)
    return ((states - targets).square().mean(dim=-1) / spread).mean()


def _join(
    own: Iterator[tuple[Tensor, Tensor]], pairs: Iterator[tuple[Tensor, ...]]
) -> Iterator[tuple[Tensor, ...]]:
    for own_batch, pair_batch in zip(own, pairs, strict=False):
        yield *own_batch, *pair_batch
