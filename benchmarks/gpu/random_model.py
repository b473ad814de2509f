"""A model folder without weights: vLLM draws random ones (``--load-format dummy``).

The shape is that of Qwen3-0.6B with its vocabulary of 151,936, over the embedded model's
tokenizer, to which ``<think>`` and ``</think>`` are added as single tokens. Random weights cost
the same time as trained ones. What they write is noise: a thought's end is only ever forced.
"""

import json
import shutil
from pathlib import Path

VOCAB_SIZE = 151_936
START, END = "<think>", "</think>"
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja")
FULL = {
    "hidden_size": 1024,
    "intermediate_size": 3072,
    "num_hidden_layers": 28,
    "num_attention_heads": 16,
    "num_key_value_heads": 8,
    "head_dim": 128,
}
TINY = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 32,
}


def make_random_model(tokenizer: Path, target: Path, *, is_tiny: bool = False) -> None:
    """Write the model's folder; `tokenizer` is a folder with a ``tokenizer.json``."""
    target.mkdir(parents=True, exist_ok=True)
    for name in TOKENIZER_FILES:
        if (tokenizer / name).is_file():
            shutil.copy(tokenizer / name, target)
    stop_token_id = _add_markers(target / "tokenizer.json")
    config = {
        "architectures": ["Qwen3ForCausalLM"],
        "model_type": "qwen3",
        "vocab_size": VOCAB_SIZE,
        **(TINY if is_tiny else FULL),
        "hidden_act": "silu",
        "max_position_embeddings": 8192,
        "rms_norm_eps": 1e-6,
        "rope_theta": 1_000_000,
        "attention_bias": False,
        "tie_word_embeddings": True,
        "torch_dtype": "bfloat16",
        "bos_token_id": 1,
        "eos_token_id": stop_token_id,
    }
    (target / "config.json").write_text(json.dumps(config, indent=1))
    generation = {"eos_token_id": stop_token_id, "do_sample": True, "temperature": 1.0}
    (target / "generation_config.json").write_text(json.dumps(generation))


def _add_markers(path: Path) -> int:
    """Add the markers to a tokenizer file and return the id of a token that ends a reply."""
    tokenizer = json.loads(path.read_text(encoding="utf-8"))
    known = {token["content"]: token["id"] for token in tokenizer["added_tokens"]}
    last = max(*tokenizer["model"]["vocab"].values(), *known.values())
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized", "special"), False)
    for text in (START, END):
        if text not in known:
            last += 1
            tokenizer["added_tokens"].append({"id": last, "content": text, **flags})
    path.write_text(json.dumps(tokenizer, ensure_ascii=False), encoding="utf-8")
    return int(known.get("<|im_end|>", 2))
