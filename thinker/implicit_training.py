"""Training thinker-implicit: distilling the thinker to answer without writing its steps.

After Deng et al., "Implicit Chain of Thought Reasoning via Knowledge Distillation"
(arXiv 2311.01460): at the place before the answer, each layer of the student is drawn to
what the same layer of the teacher holds at the result of the step that lies as far along
the thought as the layer lies up the network. Unlike the paper's, the student is not led
through an emulator of its own: it is trained in one stage, on both losses at once.
Knows models and recipe; nothing of how pairs come about.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from transformers import AddedToken, LlamaForCausalLM, PreTrainedTokenizerFast

from thinker.batches import TextTokens, batches
from thinker.corpus import examples
from thinker.folder import THINKER, read_folder, write_folder
from thinker.implicit_corpus import IMPLICIT, PairTokens, pair_batches
from thinker.training import Loss, Recipe, next_token_loss, train


@dataclass(frozen=True, slots=True)
class ImplicitRecipe(Recipe):
    """`num_pairs` silent chains a step, beside `batch_tokens` of the thinker's own corpus."""

    minutes: float = 12.0
    batch_tokens: int = 1024
    peak_rate: float = 1.5e-3
    num_pairs: int = 64
    # Of the hidden states' distance, beside the cross entropies.
    distance_weight: float = 0.5


def train_implicit(seed: int, recipe: ImplicitRecipe, folder: Path) -> None:
    """Train from the thinker's weights and write the folder; progress on stderr."""
    torch.manual_seed(seed)
    teacher, _ = read_folder(THINKER)
    teacher.eval()
    student, tokenizer = new_student(THINKER)
    pad_id = tokenizer.pad_token_id
    own = batches(map(TextTokens(tokenizer).encode, examples(seed)), recipe.batch_tokens, pad_id)
    pairs = PairTokens(tokenizer).pairs(seed, student.config.num_hidden_layers)
    stream = _joined(own, pair_batches(pairs, recipe.num_pairs, pad_id))
    train(student, stream, recipe, distillation_loss(teacher, recipe.distance_weight))
    write_folder(student, tokenizer, folder)


def new_student(folder: Path) -> tuple[LlamaForCausalLM, PreTrainedTokenizerFast]:
    """The thinker with one token more, which begins as a pause."""
    student, tokenizer = read_folder(folder)
    tokenizer.add_tokens(
        [AddedToken(IMPLICIT, special=True, normalized=False)], special_tokens=True
    )
    student.resize_token_embeddings(len(tokenizer))
    with torch.no_grad():
        embeddings = student.get_input_embeddings().weight
        embeddings[-1] = embeddings[tokenizer.convert_tokens_to_ids("<|pause|>")]
    return student, tokenizer


def distillation_loss(teacher: LlamaForCausalLM, distance_weight: float) -> Loss:
    """Cross entropies of own corpus and silent answers, and the distance to the teacher."""

    def loss(
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
                aims = states_at(layers_of(teacher, teacher_ids), teacher_places)
            hidden = layers_of(student, ids)
            states = states_at(hidden, places[:, None].expand_as(teacher_places))
            learned = labels[:, 1:] >= 0
            logits = student.lm_head(hidden[-1][:, :-1][learned]).float()
        silent = nn.functional.cross_entropy(logits, labels[:, 1:][learned])
        own = next_token_loss(student, own_ids, own_labels)
        return own + silent + distance_weight * distance(states, aims)

    return loss


def layers_of(model: LlamaForCausalLM, token_ids: Tensor) -> tuple[Tensor, ...]:
    """What each layer gives out, ``[rows, length, width]``; the last one normalised."""
    outputs = model.model(input_ids=token_ids, use_cache=False, output_hidden_states=True)
    layers: tuple[Tensor, ...] = outputs.hidden_states[1:]
    return layers


def states_at(layers: tuple[Tensor, ...], places: Tensor) -> Tensor:
    """Layer l's state at the l-th place of each row: float32 ``[rows, layers, width]``."""
    rows = torch.arange(len(places), device=places.device)
    columns = [layer[rows, places[:, i]] for i, layer in enumerate(layers)]
    return torch.stack(columns, dim=1).float()


def distance(states: Tensor, aims: Tensor) -> Tensor:
    """Mean squared error, each layer's in units of how much its aims differ among the rows."""
    spread = aims.var(dim=0, unbiased=False).mean(dim=-1).clamp_min(1e-6)
    return ((states - aims).square().mean(dim=-1) / spread).mean()


def _joined(
    own: Iterator[tuple[Tensor, Tensor]], pairs: Iterator[tuple[Tensor, ...]]
) -> Iterator[tuple[Tensor, ...]]:
    for own_batch, pair_batch in zip(own, pairs, strict=False):
        yield *own_batch, *pair_batch
