"""The operator's marker texts are used, or rejected with an error that names the setting."""

import pytest

from tests.thinking.markers.profile_layouts import (
    SPECIAL,
    THINK,
    decode_texts,
    detect_profile,
    to_token_ids,
)
from tests.toy_tokenizers import CHATML, QWEN3, byte_level
from thinking.markers.detection import MarkerOverrides, ProfileError


def test_overridden_markers_are_the_models_own() -> None:
    tokenizer = byte_level(SPECIAL)
    profile = detect_profile(tokenizer, MarkerOverrides(start="[[", end="]]"))
    assert (profile.name, profile.native) == ("custom", True)
    texts = decode_texts(tokenizer, profile)
    assert texts == {
        "start": "[[",
        "end": "]]",
        "primer": "",
        "lead_in": "",
        "no_thought": "[[]]",
    }


def test_overridden_texts_replace_the_profiles_own() -> None:
    tokenizer = byte_level(SPECIAL)
    profile = detect_profile(tokenizer, MarkerOverrides(primer="", lead_in="So:"))
    texts = decode_texts(tokenizer, profile)
    assert (texts["primer"], texts["lead_in"]) == ("", "So:")
    assert not profile.native


def test_a_model_that_needs_a_primer_is_not_native() -> None:
    tokenizer = byte_level(SPECIAL, THINK, QWEN3)
    assert not detect_profile(tokenizer, MarkerOverrides(primer="Hm.")).native
    assert detect_profile(tokenizer, MarkerOverrides(primer="")).native


def test_overridden_markers_that_are_a_familys_are_that_family() -> None:
    tokenizer = byte_level(SPECIAL, (*THINK, "<tool_call>"), CHATML)
    profile = detect_profile(tokenizer, MarkerOverrides(*THINK))
    assert (profile.name, profile.native) == ("qwen3", True)
    assert profile.tool_call_token_ids == to_token_ids(tokenizer, "<tool_call>")
    assert detect_profile(byte_level(SPECIAL), MarkerOverrides(*THINK)).name == "think"


@pytest.mark.parametrize(
    ("overrides", "field"),
    [
        (MarkerOverrides(start=""), "thinking_start"),
        (MarkerOverrides(end=""), "thinking_end"),
        (MarkerOverrides(start="x" * 33), "thinking_start"),
        (MarkerOverrides(end="x" * 33), "thinking_end"),
        (MarkerOverrides(start="<x>", end="<x>"), "thinking_end"),
        (MarkerOverrides(start="<x>", end="<x>y"), "thinking_end"),
        (MarkerOverrides(start="<x>y", end="<x>"), "thinking_end"),
        (MarkerOverrides(end="<|im_end|>"), "thinking_end"),
        (MarkerOverrides(primer="<|im_end|>"), "thinking_primer"),
        (MarkerOverrides(lead_in="x" * 129), "thinking_lead_in"),
    ],
)
def test_overrides_that_cannot_work_are_named(overrides: MarkerOverrides, field: str) -> None:
    with pytest.raises(ProfileError, match=field) as caught:
        detect_profile(byte_level(SPECIAL), overrides)
    assert caught.value.field == field
