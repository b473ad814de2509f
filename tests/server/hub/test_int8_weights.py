"""The 8-bit copy of a model folder."""

import json
from pathlib import Path

import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from server.hub.int8_weights import (
    CONFIG_NAME,
    EMBEDDING_NAME,
    OUTPUT_NAME,
    WEIGHTS_NAME,
    write_int8_copy,
)

LINEAR, NORM = "model.layers.0.mlp.up_proj.weight", "model.norm.weight"


def write_folder(folder: Path, weight: torch.Tensor) -> Path:
    folder.mkdir()
    embedding = torch.ones(5, 4, dtype=weight.dtype)
    tensors = {LINEAR: weight, NORM: torch.ones(4, dtype=weight.dtype), EMBEDDING_NAME: embedding}
    save_file(tensors, folder / WEIGHTS_NAME)
    config = {"model_type": "llama", "tie_word_embeddings": True}
    (folder / CONFIG_NAME).write_text(json.dumps(config))
    (folder / "tokenizer.json").write_text("{}")
    return folder


def copy(folder: Path, weight: torch.Tensor) -> tuple[dict[str, torch.Tensor], Path]:
    target = folder / "copy"
    target.mkdir()
    write_int8_copy(write_folder(folder / "source", weight), target)
    return load_file(target / WEIGHTS_NAME), target


@given(st.integers(1, 6), st.integers(1, 6), st.integers(0, 9), st.floats(1e-6, 1e6))
def test_no_weight_is_off_by_more_than_half_a_step(
    tmp_path_factory: object, outputs: int, inputs: int, seed: int, size: float
) -> None:
    torch.manual_seed(seed)
    weight = torch.randn(outputs, inputs) * size
    folder = tmp_path_factory.mktemp("model")  # type: ignore[attr-defined]
    tensors, _ = copy(folder, weight)
    int8, scale = tensors[LINEAR], tensors[f"{LINEAR}_scale"]
    assert int8.dtype is torch.int8
    assert scale.shape == (outputs, 1)
    assert ((int8 * scale - weight).abs() <= 0.501 * scale).all()


def test_a_channel_of_zeros_stays_one(tmp_path: Path) -> None:
    tensors, _ = copy(tmp_path, torch.zeros(2, 3))
    assert tensors[f"{LINEAR}_scale"].isfinite().all()
    assert tensors[LINEAR].eq(0).all()


def test_an_output_layer_of_shared_weights_gets_its_own(tmp_path: Path) -> None:
    tensors, target = copy(tmp_path, torch.randn(4, 4))
    assert tensors[EMBEDDING_NAME].dtype is torch.float32
    assert tensors[OUTPUT_NAME].dtype is torch.int8
    assert tensors[f"{OUTPUT_NAME}_scale"].shape == (5, 1)
    assert not json.loads((target / CONFIG_NAME).read_text())["tie_word_embeddings"]


def test_all_else_is_copied_and_the_config_names_the_scheme(tmp_path: Path) -> None:
    tensors, target = copy(tmp_path, torch.randn(4, 4).bfloat16())
    assert tensors[NORM].dtype is torch.bfloat16
    assert (target / "tokenizer.json").read_text() == "{}"
    config = json.loads((target / CONFIG_NAME).read_text())
    assert config["model_type"] == "llama"
    assert config["quantization_config"]["quant_method"] == "compressed-tensors"
