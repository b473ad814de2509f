"""The thinker's model folders: where they are, and how they are read and written.

Knows files; nothing of training.
"""

import json
from importlib.resources import files
from pathlib import Path

import torch
from transformers import LlamaForCausalLM, PreTrainedModel, PreTrainedTokenizerFast

_PACKAGE = Path(str(files("thinker")))
THINKER = _PACKAGE / "weights"
SCORER = _PACKAGE / "scorer"
IMPLICIT = _PACKAGE / "implicit"


def read_folder(folder: Path) -> tuple[LlamaForCausalLM, PreTrainedTokenizerFast]:
    """Return a language model (float32) and its tokenizer."""
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    return LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32), tokenizer


def write_folder(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Write an ordinary model folder; greedy by default, as there is one right answer."""
    model.generation_config.temperature = None
    save(model, tokenizer, folder)
    config = {"temperature": 0.0, "eos_token_id": tokenizer.eos_token_id}
    Path(folder, "generation_config.json").write_text(json.dumps(config, indent=2) + "\n")


def save(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Write config, weights, and tokenizer with its chat template; readable by all users."""
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    (folder / "model.safetensors").chmod(0o644)
