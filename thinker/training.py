"""Trains a small model: AdamW with warm-up and a cosine, by default next-token prediction.

The learning rate follows the clock as well as the steps, so that a slow machine also ends in
time with a finished schedule. Knows batches and a model; nothing of the tasks.
"""

import math
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel

from thinker.batches import IGNORED

# The loss of a model on one batch; a batch is several tensors, token ids first.
Loss = Callable[..., Tensor]


@dataclass(frozen=True, slots=True)
class ModelShape:
    """Sizes of the network. A head has 32 columns, the narrowest that vLLM supports on a CPU."""

    num_layers: int = 4
    hidden_size: int = 128
    num_heads: int = 4
    mlp_size: int = 384
    context: int = 1024


@dataclass(frozen=True, slots=True)
class Recipe:
    """Training settings; `minutes` bounds the time on any machine."""

    num_tokens: int = 40_000_000
    minutes: float = 25.0
    batch_tokens: int = 6144
    peak_rate: float = 2e-3
    warm_up: float = 0.03
    weight_decay: float = 0.05
    report_every: int = 100


def make_model(shape: ModelShape, vocab_size: int, eos_id: int, pad_id: int) -> LlamaForCausalLM:
    """Return a Llama with tied embeddings and random weights (float32)."""
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=vocab_size,
            hidden_size=shape.hidden_size,
            intermediate_size=shape.mlp_size,
            num_hidden_layers=shape.num_layers,
            num_attention_heads=shape.num_heads,
            num_key_value_heads=shape.num_heads,
            max_position_embeddings=shape.context,
            tie_word_embeddings=True,
            bos_token_id=None,
            eos_token_id=eos_id,
            pad_token_id=pad_id,
        )
    )


def train(
    model: PreTrainedModel, stream: Iterator[tuple[Tensor, ...]], recipe: Recipe, loss_of: Loss
) -> None:
    """Train in place with ``loss_of(model, *batch)``; progress on stderr."""
    learned = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(
        learned, lr=recipe.peak_rate, betas=(0.9, 0.98), weight_decay=recipe.weight_decay
    )
    step = torch.compile(loss_of) if torch.cuda.is_available() else loss_of
    device = next(model.parameters()).device
    started, num_tokens, num_steps, mean_loss = time.monotonic(), 0, 0, 0.0
    model.train()
    while (done := _compute_share_done(recipe, num_tokens, started)) < 1:
        rate = recipe.peak_rate * compute_rate_share(done, recipe.warm_up)
        for group in optimizer.param_groups:
            group["lr"] = rate
        batch = [tensor.to(device) for tensor in next(stream)]
        loss = step(model, *batch)
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(learned, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        num_tokens += batch[0].numel()
        num_steps += 1
        mean_loss += loss.item() / recipe.report_every
        if num_steps % recipe.report_every == 0:
            seconds = time.monotonic() - started
            sys.stderr.write(
                f"{done:6.1%}  loss {mean_loss:.4f}  {num_tokens / 1e6:.1f} M tokens  "
                f"{num_tokens / seconds:,.0f} tokens/s\n"
            )
            mean_loss = 0.0


def compute_rate_share(done: float, warm_up: float) -> float:
    """Return the share of the peak rate after a share `done` of the training."""
    if done < warm_up:
        return done / warm_up + 1e-3
    return 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * (done - warm_up) / (1 - warm_up)))


def _compute_share_done(recipe: Recipe, num_tokens: int, started: float) -> float:
    by_time = (time.monotonic() - started) / (60 * recipe.minutes)
    return max(by_time, num_tokens / recipe.num_tokens)


def compute_next_token_loss(model: LlamaForCausalLM, token_ids: Tensor, labels: Tensor) -> Tensor:
    """Return the mean cross entropy of the learned tokens, each predicted from those before it.

    Logits are only computed where something is learned.
    """
    with torch.autocast(token_ids.device.type, dtype=torch.bfloat16):
        hidden = model.model(input_ids=token_ids, use_cache=False).last_hidden_state[:, :-1]
        learned = labels[:, 1:] != IGNORED
        logits = model.lm_head(hidden[learned]).float()
    return nn.functional.cross_entropy(logits, labels[:, 1:][learned])
