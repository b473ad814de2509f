"""A profile is found from what a tokenizer and its template show."""

import pytest
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from server.embedded import resolve_model
from tests.toy_tokenizers import (
    CHATML,
    DEEPSEEK_V31,
    GLM,
    HARMONY,
    QWEN3,
    R1,
    byte_level,
    sentencepiece_like,
)
from thinking.markers import MarkerProfile, Opening
from thinking.profiles import MarkerOverrides, ProfileError, find_profile

SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
THINK = ("<think>", "</think>")
THOUGHT = ("<|startofthought|>", "<|endofthought|>")


def profile_of(
    tokenizer: PreTrainedTokenizerFast,
    overrides: MarkerOverrides | None = None,
    vocab_size: int | None = None,
) -> MarkerProfile:
    return find_profile(
        tokenizer,
        stop_token_ids=(tokenizer.eos_token_id,),
        vocab_size=vocab_size or len(tokenizer),
        overrides=overrides,
    )


def texts_of(tokenizer: PreTrainedTokenizerFast, profile: MarkerProfile) -> dict[str, str]:
    return {
        field: tokenizer.decode(getattr(profile, f"{field}_token_ids"))
        for field in ("start", "end", "primer", "lead_in", "no_thought")
    }


def test_a_template_that_does_not_open_the_thought_has_it_forced_as_the_model_writes_it() -> None:
    tokenizer = byte_level(SPECIAL, THINK, QWEN3)
    profile = profile_of(tokenizer)
    assert (profile.name, profile.opening, profile.native) == ("think", Opening.FORCED, True)
    assert profile.start_token_ids == (tokenizer.convert_tokens_to_ids("<think>"),)
    assert texts_of(tokenizer, profile) == {
        "start": "<think>",
        "end": "</think>",
        "primer": "\n",
        "lead_in": "",
        "no_thought": "<think>\n\n</think>\n\n",
    }


def test_a_thought_that_the_template_opens_is_closed_in_the_prompt_where_none_is_allowed() -> None:
    tokenizer = byte_level(SPECIAL, THINK, R1)
    profile = profile_of(tokenizer)
    assert profile.opening is Opening.PROMPT
    assert profile.primer_token_ids == ()
    assert texts_of(tokenizer, profile)["no_thought"] == "\n</think>\n\n"


def test_a_template_that_can_think_is_asked_to() -> None:
    tokenizer = byte_level(SPECIAL, THINK, DEEPSEEK_V31)
    profile = profile_of(tokenizer)
    assert profile.opening is Opening.PROMPT
    assert texts_of(tokenizer, profile)["no_thought"] == "</think>"


def test_the_templates_own_way_not_to_think_is_used() -> None:
    tokenizer = byte_level(SPECIAL, THINK, GLM)
    assert texts_of(tokenizer, profile_of(tokenizer))["no_thought"] == "<think></think>\n"


def test_white_space_in_a_start_marker_is_not_taken_for_white_space_after_it() -> None:
    template = CHATML.replace("assistant\n", "assistant\n<|channel>thought\n")
    tokenizer = byte_level(("<|channel>", "<channel|>", *SPECIAL), (), template)
    profile = profile_of(tokenizer)
    assert profile.opening is Opening.PROMPT
    assert texts_of(tokenizer, profile)["no_thought"] == "<channel|>"


@pytest.mark.parametrize(
    ("name", "special", "added", "start", "end"),
    [
        ("startofthought", THOUGHT, (), *THOUGHT),
        ("seed-think", (), ("<seed:think>", "</seed:think>"), "<seed:think>", "</seed:think>"),
        ("magistral", ("[THINK]", "[/THINK]"), (), "[THINK]", "[/THINK]"),
        ("kimi-think", (), ("◁think▷", "◁/think▷"), "◁think▷", "◁/think▷"),
        (
            "cohere",
            ("<|START_THINKING|>", "<|END_THINKING|>"),
            (),
            "<|START_THINKING|>",
            "<|END_THINKING|>",
        ),
        (
            "gemma4",
            ("<|channel>", "<channel|>"),
            (),
            "<|channel>thought\n",
            "<channel|>",
        ),
    ],
)
def test_families_are_told_by_their_added_tokens(
    name: str, special: tuple[str, ...], added: tuple[str, ...], start: str, end: str
) -> None:
    tokenizer = byte_level((*special, *SPECIAL), added)
    profile = profile_of(tokenizer)
    assert (profile.name, profile.native) == (name, True)
    texts = texts_of(tokenizer, profile)
    assert (texts["start"], texts["end"]) == (start, end)
    assert profile.lead_in_token_ids == ()


def test_harmony_closes_the_analysis_and_opens_the_final_channel() -> None:
    special = ("<|endoftext|>", "<|channel|>", "<|message|>", "<|start|>", "<|end|>", "<|return|>")
    tokenizer = byte_level(special, (), HARMONY)
    profile = profile_of(tokenizer)
    texts = texts_of(tokenizer, profile)
    assert texts["start"] == "<|channel|>analysis<|message|>"
    assert texts["end"] == "<|end|><|start|>assistant<|channel|>final<|message|>"
    assert texts["no_thought"] == "<|channel|>final<|message|>"
    for token in special[1:5]:
        assert tokenizer.convert_tokens_to_ids(token) in profile.end_token_ids


def test_markers_that_only_the_template_speaks_of_are_native_text() -> None:
    template = R1.replace("{% for", "{# </think> #}{% for", 1)
    tokenizer = byte_level(SPECIAL, (), template)
    profile = profile_of(tokenizer)
    assert (profile.name, profile.native, profile.opening) == ("think", True, Opening.PROMPT)
    assert len(profile.end_token_ids) > 1


def test_a_model_without_markers_is_primed_with_plain_text() -> None:
    tokenizer = byte_level(SPECIAL, (), CHATML)
    profile = profile_of(tokenizer)
    assert (profile.name, profile.native, profile.opening) == ("primed", False, Opening.FORCED)
    texts = texts_of(tokenizer, profile)
    assert (texts["start"], texts["end"]) == THOUGHT
    assert texts["primer"].strip()
    assert texts["lead_in"].strip()
    assert profile.no_thought_token_ids == ()


def test_a_model_without_a_template_has_a_profile_too() -> None:
    assert profile_of(byte_level(SPECIAL, THINK, None)).opening is Opening.FORCED
    assert profile_of(byte_level(SPECIAL, (), None)).name == "primed"


def test_a_template_that_fails_opens_nothing() -> None:
    tokenizer = byte_level(SPECIAL, THINK, "{{ raise_exception('no') }}<think>")
    assert profile_of(tokenizer).opening is Opening.FORCED


def test_markers_do_not_get_the_space_of_a_texts_start() -> None:
    tokenizer = sentencepiece_like()
    profile = profile_of(tokenizer)
    first = tokenizer.convert_ids_to_tokens(profile.start_token_ids[0])
    assert first == "<0x3C>"  # "<", not "▁"


# The stand-in


def test_the_stand_in_is_a_special_token_that_neither_stops_nor_marks() -> None:
    tokenizer = byte_level((*THOUGHT, *SPECIAL))
    profile = profile_of(tokenizer)
    chosen = [profile.eos_stand_in_id, profile.exit_stand_in_id]
    assert set(tokenizer.convert_ids_to_tokens(chosen)) == {"<|endoftext|>", "<|im_start|>"}


def test_without_a_free_special_token_the_stand_in_is_an_id_without_a_text() -> None:
    tokenizer = byte_level(("<|im_end|>",))
    profile = profile_of(tokenizer, vocab_size=len(tokenizer) + 7)
    assert profile.eos_stand_in_id == len(tokenizer)
    assert profile.exit_stand_in_id == len(tokenizer) + 1


def test_without_a_spare_id_the_stand_in_is_the_last_that_is_not_in_use() -> None:
    tokenizer = byte_level(("<|im_end|>",))
    profile = profile_of(tokenizer)
    assert profile.eos_stand_in_id == len(tokenizer) - 2  # the last one stops


def test_white_space_is_the_best_stand_in() -> None:
    smollm2 = AutoTokenizer.from_pretrained(resolve_model(None).path_or_hub_id)
    profile = profile_of(smollm2)
    assert set(smollm2.decode([profile.eos_stand_in_id])) == {"\n"}
    assert smollm2.decode([profile.exit_stand_in_id]).isspace()


def test_no_free_id_at_all_is_an_error() -> None:
    tokenizer = byte_level(("<|im_end|>",))
    every_id = tuple(range(len(tokenizer)))
    with pytest.raises(ProfileError):
        find_profile(tokenizer, stop_token_ids=every_id, vocab_size=len(tokenizer))


# Overrides


def test_overridden_markers_are_the_models_own() -> None:
    tokenizer = byte_level(SPECIAL)
    profile = profile_of(tokenizer, MarkerOverrides(start="[[", end="]]"))
    assert (profile.name, profile.native) == ("custom", True)
    texts = texts_of(tokenizer, profile)
    assert texts == {
        "start": "[[",
        "end": "]]",
        "primer": "",
        "lead_in": "",
        "no_thought": "[[]]",
    }


def test_overridden_texts_replace_the_profiles_own() -> None:
    tokenizer = byte_level(SPECIAL)
    profile = profile_of(tokenizer, MarkerOverrides(primer="", lead_in="So:"))
    texts = texts_of(tokenizer, profile)
    assert (texts["primer"], texts["lead_in"]) == ("", "So:")
    assert not profile.native


def test_a_model_that_needs_a_primer_is_not_native() -> None:
    tokenizer = byte_level(SPECIAL, THINK, QWEN3)
    assert not profile_of(tokenizer, MarkerOverrides(primer="Hm.")).native
    assert profile_of(tokenizer, MarkerOverrides(primer="")).native


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
        profile_of(byte_level(SPECIAL), overrides)
    assert caught.value.field == field


def test_a_profile_survives_the_way_to_the_worker() -> None:
    profile = profile_of(byte_level(SPECIAL, THINK, QWEN3))
    assert MarkerProfile.from_dict(profile.to_dict()) == profile
