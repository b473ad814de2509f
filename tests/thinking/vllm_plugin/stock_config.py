"""Real configurations of vLLM for a model that has a tokenizer and no weights; no engine."""

from pathlib import Path
from typing import Any

from transformers import LlamaConfig
from vllm.config import VllmConfig
from vllm.engine.arg_utils import AsyncEngineArgs

from tests.server.conftest import TOKENIZER, VOCAB_SIZE


def save_model(folder: Path, **changes: Any) -> Path:
    """Write what a configuration is made from; `changes` are those of the model's shape."""
    shape = {"hidden_size": 64, "num_attention_heads": 2, "num_hidden_layers": 1}
    values = shape | {"vocab_size": VOCAB_SIZE, "max_position_embeddings": 512} | changes
    LlamaConfig(architectures=["LlamaForCausalLM"], **values).save_pretrained(folder)
    TOKENIZER.save_pretrained(folder)
    return folder


def make_stock_config(folder: Path, **options: Any) -> VllmConfig:
    """Return what ``vllm serve FOLDER --tokens-only`` would start its processes with."""
    given: dict[str, Any] = {"tokens_only": True, "enforce_eager": True, "dtype": "float32"}
    args = AsyncEngineArgs(model=str(folder), **(given | options))
    return args.create_engine_config()
