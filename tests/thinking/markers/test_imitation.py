"""How much of a marker is too much, and what is left alone."""

import pytest

from thinking.markers.families import FAMILIES, PRIMED
from thinking.markers.imitation import find_forbidden_beginning


def test_of_our_own_markers_a_few_characters_may_stay() -> None:
    assert find_forbidden_beginning(PRIMED.start) == "<|starto"
    assert find_forbidden_beginning(PRIMED.end) == "<|endoft"


OF_OTHER_MODELS = "<|im_end|> <|end|> <|end_of_text|> <|start|> <|start_header_id|>".split()
TAGS = "<th> <thead> <this> </th> <thing> </thing> <t [T] <|".split()


@pytest.mark.parametrize("text", [*OF_OTHER_MODELS, *TAGS, "a < b", "x <| f"])
def test_control_tokens_of_other_models_tags_and_code_stay(text: str) -> None:
    beginnings = [
        find_forbidden_beginning(marker)
        for family in (PRIMED, *FAMILIES)
        for marker in (family.start, family.end)
        # Their text is removed only if a model has no tokens for it.
        if "think" in marker or "ofthought" in marker
    ]
    assert not [beginning for beginning in beginnings if beginning in text]


@pytest.mark.parametrize(
    ("marker", "beginning"),
    [
        ("<think>", "<think"),
        ("</think>", "</think"),
        ("</think>\n\n", "</think"),
        ("\n[[/think]]\n", "\n[[/think"),
        ("<t>", "<t>"),
        ("Thought:\n", "Thought:"),
        ("**Thinking**", "**Thinking**"),
        ("\n\n", "\n\n"),
    ],
)
def test_short_and_wordlike_markers_are_removed_nearly_whole(marker: str, beginning: str) -> None:
    assert find_forbidden_beginning(marker) == beginning
