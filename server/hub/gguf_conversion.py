"""Converts a GGUF file of SmolLM2 into a model folder that vLLM can load.

Dequantises the weights to bfloat16 and writes the tokenizer, chat template and generation config
with them. Does not know where the file comes from or where the folder is stored.
"""

import json
from collections.abc import Mapping
from pathlib import Path

CONVERTER_VERSION = "3"
"""Increase when the written files change, so that cached folders are rebuilt."""


class ConversionError(Exception):
    """The GGUF file is not of the kind that this converter supports."""


def convert_gguf(gguf_path: Path, folder: Path, sampling: Mapping[str, float]) -> None:
    """Write config, weights, tokenizer and chat template into the empty `folder`.

    `sampling` is written to the generation config, since the GGUF file has no sampling defaults.

    Raises:
        ConversionError: the written tokenizer does not have the token ids of the GGUF file.
    """
    # Imported here because it takes 10 s and is needed only once per machine.
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
    _drop_load_options(folder / "tokenizer_config.json")
    _split_digits(folder / "tokenizer.json")
    _check_vocabulary(gguf_path, folder)


def _drop_load_options(tokenizer_config: Path) -> None:
    """Remove the keys that record whether the hub was offline, so that the result is the same."""
    data = json.loads(tokenizer_config.read_text())
    kept = {
        key: value for key, value in data.items() if key not in {"is_local", "local_files_only"}
    }
    tokenizer_config.write_text(json.dumps(kept, ensure_ascii=False, indent=2))


def _split_digits(tokenizer_json: Path) -> None:
    """Restore what transformers drops: SmolLM2 splits numbers into single digits."""
    data = json.loads(tokenizer_json.read_text())
    digits = {"type": "Digits", "individual_digits": True}
    data["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": [digits, data["pre_tokenizer"]]}
    tokenizer_json.write_text(json.dumps(data, ensure_ascii=False, indent=2))


def _check_vocabulary(gguf_path: Path, folder: Path) -> None:
    """Raise ConversionError if the written ids, end token or chat template differ from the file."""
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
