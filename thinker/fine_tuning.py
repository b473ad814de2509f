"""Fine-tunes the thinker on an export: its own thoughts that led to right answers.

Reads what ``thinking export --format sft`` writes. A small loop of our own, as the data is a
few hundred lines and the model has a million weights; use TRL for larger models. Does not
know who judged the answers.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import torch
from torch import nn
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from thinker.batches import IGNORED

Row = Mapping[str, Sequence[Mapping[str, str]]]
Encoded = tuple[list[int], list[int]]  # token ids and labels, of the same length


@dataclass(frozen=True, slots=True)
class TuningRecipe:
    """Low rate and few epochs: more makes the model forget what it knows (docs/proof.md)."""

    num_epochs: int = 4
    rate: float = 1e-4
    batch_size: int = 32
    seed: int = 1


def read_rows(path: Path) -> list[Row]:
    """Return the lines of an export: ``{"prompt": [messages], "completion": [assistant]}``.

    Raises:
        ValueError: a line is not such an object; the message has its number.
    """
    rows: list[Row] = []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        row = json.loads(line)
        if not isinstance(row, dict) or not {"prompt", "completion"} <= row.keys():
            raise ValueError(f"{path}:{number}: should have 'prompt' and 'completion'")
        rows.append(row)
    return rows


def encode(tokenizer: PreTrainedTokenizerFast, row: Row) -> Encoded:
    """Encode one example; only the completion, with the turn's end, is learned."""

    def encode_messages(messages: Sequence[Mapping[str, str]], *, opens_reply: bool) -> list[int]:
        text: Any = tokenizer.apply_chat_template(
            list(messages), tokenize=False, add_generation_prompt=opens_reply
        )
        return list(tokenizer.encode(text, add_special_tokens=False))

    prompt = encode_messages(row["prompt"], opens_reply=True)
    whole = encode_messages([*row["prompt"], *row["completion"]], opens_reply=False)
    return whole, [IGNORED] * len(prompt) + whole[len(prompt) :]


def fine_tune(
    model: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    rows: Sequence[Row],
    recipe: TuningRecipe | None = None,
) -> None:
    """Train `model` in place; the rate falls linearly to zero."""
    recipe = recipe or TuningRecipe()
    examples = [encode(tokenizer, row) for row in rows]
    batches = list(_make_batches(examples, recipe, int(tokenizer.pad_token_id)))
    optimizer = torch.optim.AdamW(model.parameters(), lr=recipe.rate, weight_decay=0.0)
    model.train()
    for done, (token_ids, labels) in enumerate(batches):
        for group in optimizer.param_groups:
            group["lr"] = recipe.rate * (1 - done / len(batches))
        loss = model(input_ids=token_ids, labels=labels).loss
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    model.eval()


def _make_batches(
    examples: list[Encoded], recipe: TuningRecipe, pad_id: int
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Yield int64 ``[rows, length]``, padded on the right, where causal attention never looks."""
    rng = Random(recipe.seed)
    for _ in range(recipe.num_epochs):
        order = rng.sample(examples, len(examples))
        for begin in range(0, len(order), recipe.batch_size):
            rows = order[begin : begin + recipe.batch_size]
            length = max(len(token_ids) for token_ids, _ in rows)
            yield (
                torch.tensor([ids + [pad_id] * (length - len(ids)) for ids, _ in rows]),
                torch.tensor([labels + [IGNORED] * (length - len(labels)) for _, labels in rows]),
            )
