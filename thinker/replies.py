"""Replies of a thinker, generated through transformers: whole turns, or one answer token.

Knows models and prompts; not whether a reply is right.
"""

from collections.abc import Sequence

import torch
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from thinker.batches import pad_rows
from thinker.vocabulary import ASSISTANT, TURN_END, USER

_MAX_NEW_TOKENS = 200
_BATCH = 250


def make_prompt(question: str, begin: str) -> str:
    """Return the rendered conversation and the beginning of the reply."""
    return f"{USER}{question}{TURN_END}{ASSISTANT}{begin}"


def generate_replies(
    model: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    prompts: Sequence[str],
    temperature: float,
) -> list[str]:
    """Return the continuation of each prompt, up to the turn's end or 200 tokens; 0.0: greedily."""
    how = {"do_sample": True, "temperature": temperature, "top_k": 0} if temperature else {}
    texts: list[str] = []
    tokenizer.padding_side = "left"
    for i in range(0, len(prompts), _BATCH):
        inputs = tokenizer(
            list(prompts[i : i + _BATCH]),
            padding=True,
            add_special_tokens=False,
            return_tensors="pt",
        )
        outputs = model.generate(
            input_ids=inputs.input_ids,
            attention_mask=inputs.attention_mask,
            max_new_tokens=_MAX_NEW_TOKENS,
            pad_token_id=tokenizer.pad_token_id,
            eos_token_id=tokenizer.eos_token_id,
            **(how or {"do_sample": False}),
        )
        generated = outputs[:, inputs.input_ids.shape[1] :]
        texts += [_cut_at_turn_end(tokenizer.decode(row)) for row in generated]
    return texts


def predict_next_tokens(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, prompts: Sequence[str]
) -> list[str]:
    """Return the most likely next token after each prompt."""
    rows = [tokenizer.encode(prompt, add_special_tokens=False) for prompt in prompts]
    # On the right: under causal attention no token sees the padding.
    token_ids = pad_rows(iter(rows), tokenizer.pad_token_id)
    with torch.no_grad():
        hidden = model.model(input_ids=token_ids, use_cache=False).last_hidden_state
        last = hidden[torch.arange(len(rows)), torch.tensor([len(row) - 1 for row in rows])]
        likeliest = model.lm_head(last).argmax(dim=-1)
    return [tokenizer.decode([token_id]) for token_id in likeliest.tolist()]


def _cut_at_turn_end(text: str) -> str:
    before, end, _ = text.partition(TURN_END)
    return before + end
