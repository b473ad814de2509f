"""A profile is found from a tokenizer and its chat template."""

from dataclasses import replace

import pytest
from transformers import AutoTokenizer

from server.hub.model_resolution import resolve_model
from tests.thinking.markers.profile_layouts import (
    SPECIAL,
    THINK,
    THOUGHT,
    decode_texts,
    detect_profile,
    to_token_ids,
)
from tests.toy_tokenizers import (
    CHATML,
    DEEPSEEK_V31,
    GLM,
    QWEN3,
    R1,
    byte_level,
    sentencepiece_like,
)
from thinking.markers.detection import ProfileError, find_profile
from thinking.markers.profile import MarkerProfile, Opening


def test_a_template_that_does_not_open_the_thought_has_it_forced_as_the_model_writes_it() -> None:
    tokenizer = byte_level(SPECIAL, THINK, QWEN3)
    profile = detect_profile(tokenizer)
    assert (profile.name, profile.opening, profile.native) == ("think", Opening.FORCED, True)
    assert profile.start_token_ids == (tokenizer.convert_tokens_to_ids("<think>"),)
    assert decode_texts(tokenizer, profile) == {
        "start": "<think>",
        "end": "</think>",
        "primer": "\n",
        "lead_in": "",
        "no_thought": "<think>\n\n</think>\n\n",
    }


def test_a_thought_that_the_template_opens_is_closed_in_the_prompt_where_none_is_allowed() -> None:
    tokenizer = byte_level(SPECIAL, THINK, R1)
    profile = detect_profile(tokenizer)
    assert profile.opening is Opening.PROMPT
    assert profile.primer_token_ids == ()
    assert decode_texts(tokenizer, profile)["no_thought"] == "\n</think>\n\n"


def test_a_template_with_a_switch_is_rendered_with_thinking_on() -> None:
    tokenizer = byte_level(SPECIAL, THINK, DEEPSEEK_V31)
    profile = detect_profile(tokenizer)
    assert profile.opening is Opening.PROMPT
    assert decode_texts(tokenizer, profile)["no_thought"] == "</think>"


def test_the_templates_own_way_to_switch_thinking_off_is_used() -> None:
    tokenizer = byte_level(SPECIAL, THINK, GLM)
    assert decode_texts(tokenizer, detect_profile(tokenizer))["no_thought"] == "<think></think>\n"


def test_white_space_in_a_start_marker_is_not_taken_for_white_space_after_it() -> None:
    template = CHATML.replace("assistant\n", "assistant\n<|channel>thought\n")
    tokenizer = byte_level(("<|channel>", "<channel|>", *SPECIAL), (), template)
    profile = detect_profile(tokenizer)
    assert profile.opening is Opening.PROMPT
    assert decode_texts(tokenizer, profile)["no_thought"] == "<channel|>"


def test_markers_that_only_the_template_mentions_are_native_text() -> None:
    template = R1.replace("{% for", "{# </think> #}{% for", 1)
    tokenizer = byte_level(SPECIAL, (), template)
    profile = detect_profile(tokenizer)
    assert (profile.name, profile.native, profile.opening) == ("think", True, Opening.PROMPT)
    assert len(profile.end_token_ids) > 1


def test_a_model_without_markers_is_primed_with_plain_text() -> None:
    tokenizer = byte_level(SPECIAL, (), CHATML)
    profile = detect_profile(tokenizer)
    assert (profile.name, profile.native, profile.opening) == ("primed", False, Opening.FORCED)
    texts = decode_texts(tokenizer, profile)
    assert (texts["start"], texts["end"]) == THOUGHT
    assert texts["primer"].strip()
    assert texts["lead_in"].strip()
    assert profile.no_thought_token_ids == ()


def test_markers_that_the_template_never_mentions_are_primed() -> None:
    tokenizer = byte_level(SPECIAL, (*THINK, "<tool_call>"), CHATML)
    profile = detect_profile(tokenizer)
    assert (profile.name, profile.native) == ("primed", False)
    texts = decode_texts(tokenizer, profile)
    assert (texts["start"], texts["end"]) == THINK
    assert texts["primer"].strip()
    assert texts["lead_in"].strip()
    assert profile.tool_call_token_ids == to_token_ids(tokenizer, "<tool_call>")


def test_a_model_without_a_template_has_a_profile_too() -> None:
    assert detect_profile(byte_level(SPECIAL, THINK, None)).opening is Opening.FORCED
    assert detect_profile(byte_level(SPECIAL, (), None)).name == "primed"


def test_a_template_that_fails_opens_nothing() -> None:
    tokenizer = byte_level(SPECIAL, THINK, "{{ raise_exception('no') }}<think>")
    assert detect_profile(tokenizer).opening is Opening.FORCED


def test_markers_do_not_get_the_space_of_a_texts_start() -> None:
    tokenizer = sentencepiece_like()
    profile = detect_profile(tokenizer)
    first = tokenizer.convert_ids_to_tokens(profile.start_token_ids[0])
    assert first == "<0x3C>"  # "<", not "▁"


# Tool call openers


def test_an_opener_that_is_one_added_token_ends_a_thought() -> None:
    tokenizer = byte_level(SPECIAL, (*THINK, "<tool_call>"), QWEN3)
    assert detect_profile(tokenizer).tool_call_token_ids == to_token_ids(tokenizer, "<tool_call>")


def test_an_opener_of_several_tokens_is_left_out() -> None:
    assert detect_profile(byte_level(SPECIAL, ("[THINK]", "[/THINK]"))).tool_call_token_ids == ()


def test_an_opener_that_ends_the_reply_is_left_out() -> None:
    tokenizer = byte_level((*SPECIAL, "<tool_call>"), THINK, QWEN3)
    assert tokenizer.eos_token == "<tool_call>"
    assert detect_profile(tokenizer).tool_call_token_ids == ()


def test_an_opener_is_never_a_stand_in() -> None:
    tokenizer = byte_level(("[THINK]", "[/THINK]", "[TOOL_CALLS]", "[PAD]", "</s>"))
    profile = detect_profile(tokenizer)
    assert profile.tool_call_token_ids == to_token_ids(tokenizer, "[TOOL_CALLS]")
    stand_ins = {profile.eos_stand_in_id, profile.exit_stand_in_id}
    assert stand_ins.isdisjoint(profile.tool_call_token_ids)
    assert set(to_token_ids(tokenizer, "[PAD]")) < stand_ins


@pytest.mark.parametrize("field", ["start_token_ids", "end_token_ids", "stop_token_ids"])
def test_a_profile_whose_opener_has_another_meaning_is_refused(field: str) -> None:
    profile = detect_profile(byte_level(SPECIAL, (*THINK, "<tool_call>"), QWEN3))
    with pytest.raises(ValueError, match="tool_call_token_ids"):
        replace(profile, tool_call_token_ids=getattr(profile, field))
    with pytest.raises(ValueError, match="eos_stand_in_id"):
        replace(profile, tool_call_token_ids=(profile.eos_stand_in_id,))


def test_a_profile_survives_the_transfer_to_the_worker() -> None:
    profile = detect_profile(byte_level(SPECIAL, (*THINK, "<tool_call>"), QWEN3))
    assert profile.tool_call_token_ids
    assert MarkerProfile.from_dict(profile.to_dict()) == profile


# Stand-ins


def test_the_stand_in_is_a_special_token_that_neither_stops_nor_marks() -> None:
    tokenizer = byte_level((*THOUGHT, *SPECIAL))
    profile = detect_profile(tokenizer)
    chosen = [profile.eos_stand_in_id, profile.exit_stand_in_id]
    assert set(tokenizer.convert_ids_to_tokens(chosen)) == {"<|endoftext|>", "<|im_start|>"}


def test_without_a_free_special_token_the_stand_in_is_an_id_without_a_text() -> None:
    tokenizer = byte_level(("<|im_end|>",))
    profile = detect_profile(tokenizer, vocab_size=len(tokenizer) + 7)
    assert profile.eos_stand_in_id == len(tokenizer)
    assert profile.exit_stand_in_id == len(tokenizer) + 1


def test_without_a_spare_id_the_stand_in_is_the_last_that_is_not_in_use() -> None:
    tokenizer = byte_level(("<|im_end|>",))
    profile = detect_profile(tokenizer)
    assert profile.eos_stand_in_id == len(tokenizer) - 2  # the last one stops


def test_white_space_is_the_best_stand_in() -> None:
    smollm2 = AutoTokenizer.from_pretrained(resolve_model(None).path_or_hub_id)
    profile = detect_profile(smollm2)
    assert set(smollm2.decode([profile.eos_stand_in_id])) == {"\n"}
    assert smollm2.decode([profile.exit_stand_in_id]).isspace()


def test_no_free_id_at_all_is_an_error() -> None:
    tokenizer = byte_level(("<|im_end|>",))
    every_id = tuple(range(len(tokenizer)))
    with pytest.raises(ProfileError):
        find_profile(tokenizer, stop_token_ids=every_id, vocab_size=len(tokenizer))
