"""Trains the thinker itself, from scratch or from an earlier one.

Knows which corpus, tokenizer and shape belong together; not how they are made.
"""

from itertools import islice
from pathlib import Path

import torch
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from thinker.batches import TextTokens, make_batches
from thinker.corpus import CorpusMix, make_examples
from thinker.folder import read_folder, write_folder
from thinker.training import ModelShape, Recipe, compute_next_token_loss, make_model, train
from thinker.vocabulary import train_tokenizer

_TOKENIZER_EXAMPLES = 5000


def train_thinker(
    seed: int, mix: CorpusMix, recipe: Recipe, begin_with: Path | None, folder: Path
) -> None:
    """Train and write the folder; progress on stderr."""
    torch.manual_seed(seed)
    model, tokenizer = read_folder(begin_with) if begin_with else _make_new_thinker(seed)
    model.to("cuda" if torch.cuda.is_available() else "cpu")
    dialogues = map(TextTokens(tokenizer).encode, make_examples(seed, mix))
    stream = make_batches(dialogues, recipe.batch_tokens, tokenizer.pad_token_id)
    train(model, stream, recipe, compute_next_token_loss)
    write_folder(model, tokenizer, folder)


def _make_new_thinker(seed: int) -> tuple[LlamaForCausalLM, PreTrainedTokenizerFast]:
    sample = islice(make_examples(seed), _TOKENIZER_EXAMPLES)
    tokenizer = train_tokenizer("".join(f.text for f in example) for example in sample)
    eos_id, pad_id = tokenizer.eos_token_id, tokenizer.pad_token_id
    return make_model(ModelShape(), len(tokenizer), eos_id, pad_id), tokenizer
