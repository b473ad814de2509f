"""Writes a copy of a model folder whose linear layers and output layer have 8-bit weights.

One scale for each output channel, symmetric; the inputs of a layer are quantized while it runs,
with one scale for each token (the scheme W8A8 of ``compressed-tensors``, which vLLM loads).
Embeddings and norms stay as they are; an output layer that shares the embeddings' weights gets its
own copy, since a lookup needs the full ones. Does not know where the folders are.
"""

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

WEIGHTS_NAME, CONFIG_NAME = "model.safetensors", "config.json"
QUANTIZER_VERSION = "2"
"""Increase when the written files change, so that cached folders are rebuilt."""

NUM_BITS = 8
LARGEST = 2 ** (NUM_BITS - 1) - 1
# A Llama's: the name of every linear layer but the output's ends so.
LINEAR_SUFFIX = "_proj.weight"
EMBEDDING_NAME, OUTPUT_NAME = "model.embed_tokens.weight", "lm_head.weight"


def write_int8_copy(source: Path, target: Path) -> None:
    """Write the folder `source`, of a Llama in a single file, into the empty folder `target`."""
    from safetensors.torch import load_file, save_file

    tensors: dict[str, torch.Tensor] = {}
    weights = load_file(source / WEIGHTS_NAME)
    weights.setdefault(OUTPUT_NAME, weights[EMBEDDING_NAME])
    for name, weight in weights.items():
        if name == OUTPUT_NAME or name.endswith(LINEAR_SUFFIX):
            tensors[name], tensors[f"{name}_scale"] = quantize_rows(weight)
        else:
            tensors[name] = weight
    save_file(tensors, target / WEIGHTS_NAME, {"format": "pt"})
    config = json.loads((source / CONFIG_NAME).read_text())
    config["quantization_config"] = describe_quantization()
    config["tie_word_embeddings"] = False
    (target / CONFIG_NAME).write_text(json.dumps(config, indent=2))
    for file in source.iterdir():
        if file.name not in (WEIGHTS_NAME, CONFIG_NAME):
            shutil.copy(file, target)


def quantize_rows(weight: "torch.Tensor") -> "tuple[torch.Tensor, torch.Tensor]":
    """Return `weight` ``[outputs, inputs]`` as int8, and the float32 scales ``[outputs, 1]``."""
    import torch

    rows = weight.float()
    scale = rows.abs().amax(dim=1, keepdim=True).clamp(min=1e-12) / LARGEST
    return (rows / scale).round().to(torch.int8), scale


def describe_quantization() -> dict[str, Any]:
    """Return the ``quantization_config`` of such a folder, as ``compressed-tensors`` writes it."""
    numbers = {"num_bits": NUM_BITS, "type": "int", "symmetric": True}
    return {
        "quant_method": "compressed-tensors",
        "format": "int-quantized",
        "quantization_status": "compressed",
        "ignore": [],
        "config_groups": {
            "group_0": {
                "targets": ["Linear", "ParallelLMHead"],  # vLLM's name of the output layer
                "weights": {**numbers, "strategy": "channel", "dynamic": False},
                "input_activations": {**numbers, "strategy": "token", "dynamic": True},
            }
        },
    }
