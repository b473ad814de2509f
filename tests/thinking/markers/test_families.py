"""The layout of every family gives the profile that its models were trained with."""

import copy

import pytest
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from server.hub.model_resolution import resolve_model
from tests.thinking.markers.profile_layouts import LAYOUTS, Layout, detect_profile, to_token_ids
from thinking.markers.families import FAMILIES, PRIMED, MarkerFamily
from thinking.markers.profile import MarkerProfile, Opening

SMOLLM2 = AutoTokenizer.from_pretrained(resolve_model(None).path_or_hub_id)


def encode(tokenizer: PreTrainedTokenizerBase, text: str) -> tuple[int, ...]:
    return tuple(tokenizer.encode(text, add_special_tokens=False))


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.model)
def test_a_layout_gives_its_familys_profile(layout: Layout) -> None:
    tokenizer = layout.build_tokenizer()
    profile = detect_profile(tokenizer)
    assert (profile.name, profile.native) == (layout.family, True)
    assert profile.opening is layout.opening
    assert profile.start_token_ids == encode(tokenizer, layout.start)
    assert profile.end_token_ids == encode(tokenizer, layout.end)
    assert profile.primer_token_ids == encode(tokenizer, layout.primer)
    assert profile.lead_in_token_ids == ()
    assert profile.no_thought_token_ids == encode(tokenizer, layout.no_thought)
    assert profile.tool_call_token_ids == to_token_ids(tokenizer, *layout.openers)


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.model)
def test_a_marker_that_is_an_added_token_is_one_token(layout: Layout) -> None:
    profile = detect_profile(layout.build_tokenizer())
    assert (len(profile.start_token_ids) == 1) == (layout.start in layout.tokens)
    assert (len(profile.end_token_ids) == 1) == (layout.end in layout.tokens)


def test_every_family_has_a_layout() -> None:
    assert {layout.family for layout in LAYOUTS} == {family.name for family in FAMILIES}


def extend_real_tokenizer(family: MarkerFamily) -> PreTrainedTokenizerBase:
    """Return SmolLM2's tokenizer with the family's tokens and a template that mentions them."""
    tokenizer = copy.deepcopy(SMOLLM2)
    openers = family.tool_call_openers
    tokenizer.add_tokens([*family.needed_tokens, *openers])
    tokenizer.chat_template = "{# " + family.start + family.end + " #}"
    return tokenizer


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_on_a_real_vocabulary_markers_decode_to_their_texts(family: MarkerFamily) -> None:
    tokenizer = extend_real_tokenizer(family)
    profile = detect_profile(tokenizer)
    assert profile.name == family.name
    assert tokenizer.decode(profile.start_token_ids) == family.start
    assert tokenizer.decode(profile.end_token_ids) == family.end
    assert tokenizer.decode(profile.primer_token_ids) == family.after_start
    assert tokenizer.decode(profile.no_thought_token_ids) == family.empty_thought
    openers = tokenizer.convert_ids_to_tokens(list(profile.tool_call_token_ids))
    assert tuple(openers) == family.tool_call_openers
    assert MarkerProfile.from_dict(profile.to_dict()) == profile


def test_the_real_tokenizer_of_a_model_without_markers_is_primed() -> None:
    profile = detect_profile(SMOLLM2)
    assert (profile.name, profile.native, profile.opening) == ("primed", False, Opening.FORCED)
    assert SMOLLM2.decode(profile.start_token_ids) == PRIMED.start
    assert SMOLLM2.decode(profile.end_token_ids) == PRIMED.end
    assert profile.tool_call_token_ids == ()
