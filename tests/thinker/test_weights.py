"""The shipped model folder: guarantees for a server and a user."""

import json
from importlib.resources import files
from pathlib import Path

import pytest
from safetensors import safe_open
from transformers import PreTrainedTokenizerFast

from server.hub.model_resolution import resolve_model
from tests.thinking.markers.profile_layouts import decode_texts, detect_profile
from thinker.vocabulary import END, PAUSE, START, load_tokenizer
from thinking.markers.profile import Opening

WEIGHTS = Path(str(files("thinker"))) / "weights"
MAX_PARAMETERS = 6_000_000
MAX_BYTES = 15_000_000
HEAD_SIZE = 32  # the narrowest that vLLM's CPU attention supports


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    return load_tokenizer(WEIGHTS)


def test_it_is_served_by_name_from_its_folder() -> None:
    resolved = resolve_model("Thinker")
    assert (resolved.served_name, Path(resolved.path_or_hub_id)) == ("thinker", WEIGHTS)
    assert not resolved.is_hub_id


def test_it_is_small() -> None:
    with safe_open(WEIGHTS / "model.safetensors", "pt") as tensors:
        names = tensors.keys()
        sizes = [tensors.get_tensor(name).numel() for name in names]
    assert sum(sizes) <= MAX_PARAMETERS
    assert sum(file.stat().st_size for file in WEIGHTS.iterdir()) <= MAX_BYTES
    config = json.loads((WEIGHTS / "config.json").read_text())
    assert config["hidden_size"] // config["num_attention_heads"] == HEAD_SIZE


def test_each_number_below_a_hundred_and_each_marker_is_one_token(
    tokenizer: PreTrainedTokenizerFast,
) -> None:
    for text in [*map(str, range(100)), START, END, PAUSE]:
        assert len(tokenizer.encode(text, add_special_tokens=False)) == 1, text


@pytest.mark.parametrize(
    "text", ["7+3*9 mod 10 =", "Gr\u00fc\u00dfe, \u4e16\u754c \U0001f600\n  x", "1234567"]
)
def test_any_text_survives_its_tokens(tokenizer: PreTrainedTokenizerFast, text: str) -> None:
    assert tokenizer.decode(tokenizer.encode(text, add_special_tokens=False)) == text


def test_its_markers_are_found_as_its_own(tokenizer: PreTrainedTokenizerFast) -> None:
    profile = detect_profile(tokenizer)
    assert (profile.native, profile.opening) == (True, Opening.FORCED)
    texts = decode_texts(tokenizer, profile)
    assert (texts["start"], texts["end"]) == (START, END)
