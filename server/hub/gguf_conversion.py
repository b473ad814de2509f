"""Turns a GGUF file of SmolLM2 into an ordinary model folder that vLLM loads.

Weights are dequantised to bfloat16; tokenizer, chat template and generation config
come with them. Does not know where the file came from or where the folder ends up.
"""

import json
from collections.abc import Mapping
from pathlib import Path

CONVERTER_VERSION = "3"
"""Raise it when the files written here change: cached folders are then built again."""


class ConversionError(Exception):
    """The GGUF file does not hold what this converter was written for."""


def convert_gguf(gguf_path: Path, folder: Path, sampling: Mapping[str, float]) -> None:
    """Write config, weights, tokenizer and chat template into the empty `folder`.

    `sampling` goes to the generation config: the file does not carry its model's.

    Raises:
        ConversionError: the tokenizer made from the file does not have the file's ids.
    """
    # Heavy (10 s of imports) and needed once in a machine's life: not at the top.
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig, GgufConfig

    model = AutoModelForCausalLM.from_pretrained(
        str(gguf_path.parent),
        gguf_file=gguf_path.name,
        quantization_config=GgufConfig(dequantize=True),
        dtype=torch.bfloat16,
    )
    tokenizer = AutoTokenizer.from_pretrained(str(gguf_path.parent), gguf_file=gguf_path.name)
    tokenizer.model_max_length = model.config.max_position_embeddings
    model.generation_config = GenerationConfig(
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        do_sample=True,
        **sampling,
    )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    _forget_how_it_was_loaded(folder / "tokenizer_config.json")
    _split_digits(folder / "tokenizer.json")
    _check_vocabulary(gguf_path, folder)


def _forget_how_it_was_loaded(tokenizer_config: Path) -> None:
    """transformers writes down whether the hub was offline; the same model must result."""
    data = json.loads(tokenizer_config.read_text())
    kept = {
        key: value for key, value in data.items() if key not in {"is_local", "local_files_only"}
    }
    tokenizer_config.write_text(json.dumps(kept, ensure_ascii=False, indent=2))


def _split_digits(tokenizer_json: Path) -> None:
    """Give back what transformers drops: SmolLM2 splits numbers into single digits."""
    data = json.loads(tokenizer_json.read_text())
    digits = {"type": "Digits", "individual_digits": True}
    data["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": [digits, data["pre_tokenizer"]]}
    tokenizer_json.write_text(json.dumps(data, ensure_ascii=False, indent=2))


def _check_vocabulary(gguf_path: Path, folder: Path) -> None:
    """Compare ids, end token and chat template of the written tokenizer with the file's."""
    from gguf import GGUFReader
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    fields = GGUFReader(gguf_path).fields
    expected = {
        "tokens": fields["tokenizer.ggml.tokens"].contents(),
        "eos_token_id": fields["tokenizer.ggml.eos_token_id"].contents(),
        "chat_template": fields["tokenizer.chat_template"].contents(),
    }
    found = {
        "tokens": tokenizer.convert_ids_to_tokens(list(range(len(tokenizer)))),
        "eos_token_id": tokenizer.eos_token_id,
        "chat_template": tokenizer.chat_template,
    }
    for field, value in expected.items():
        if found[field] != value:
            raise ConversionError(f"{gguf_path.name}: {field} changed in the conversion")
