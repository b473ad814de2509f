"""Makes a model for prompts of coding agents, with random weights: what it says means nothing.

A Llama as small as vLLM's CPU attention allows, with the tokenizer of the embedded model and a
context of 131,072 tokens: it reads ten thousand of them in seconds. Run as a program, because it
imports torch.
"""

import sys
from pathlib import Path

import torch
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

from server.hub.model_resolution import resolve_model

HIDDEN_SIZE, NUM_HEADS = 128, 2
# About one token in 300 ends the text: an agent must not wait for the longest answer possible.
END_WEIGHT = 0.54


def make(folder: Path) -> None:
    """Write the model and its tokenizer."""
    tokenizer = AutoTokenizer.from_pretrained(resolve_model("smollm2-135m-instruct").path_or_hub_id)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=HIDDEN_SIZE,
        intermediate_size=2 * HIDDEN_SIZE,
        num_hidden_layers=2,
        num_attention_heads=NUM_HEADS,
        num_key_value_heads=NUM_HEADS,
        max_position_embeddings=131_072,
        tie_word_embeddings=False,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    model = LlamaForCausalLM(config)
    with torch.no_grad():
        # The first number of every embedding is the same, and large beside the random ones: what
        # the head makes of it is a bias.
        model.get_input_embeddings().weight[:, 0] = 1.0
        model.lm_head.weight[:, 0] = 0.0
        model.lm_head.weight[tokenizer.eos_token_id, 0] = END_WEIGHT
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


if __name__ == "__main__":
    make(Path(sys.argv[1]))
