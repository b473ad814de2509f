"""Finds a model's marker profile from its tokenizer, its chat template and overrides.

Knows text and token ids. Knows neither requests nor the model's weights: it assumes that a
model which has the markers was trained to think.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from transformers import PreTrainedTokenizerBase

from thinking.markers.families import (
    FAMILIES,
    LEAD_IN_TEXT,
    PRIMED,
    PRIMER_TEXT,
    MarkerFamily,
)
from thinking.markers.forced_text import ForcedTextEncoder, ProfileError
from thinking.markers.profile import MarkerProfile, Opening
from thinking.markers.stand_in import NUM_STAND_INS, choose_stand_ins
from thinking.markers.template_probe import TemplateProbe, probe_template

# Tokens of models that were trained with them. Other models pause with a filler (see "Let's
# think dot by dot", Pfau et al., arXiv 2404.15758).
PAUSE_TEXT = "<|pause|>"
IMPLICIT_TEXT = "<|implicit|>"
FILLER_TEXT = " ."
__all__ = ["MarkerOverrides", "ProfileError", "find_profile"]


@dataclass(frozen=True, slots=True)
class MarkerOverrides:
    """Texts set by the operator; None: as detected. An empty primer or lead-in means none."""

    start: str | None = None
    end: str | None = None
    primer: str | None = None
    lead_in: str | None = None

    @property
    def has_markers(self) -> bool:
        """True if the operator has set a marker."""
        return self.start is not None or self.end is not None


@dataclass(frozen=True, slots=True)
class _ProfileTexts:
    """Texts of a profile that is not yet encoded."""

    name: str
    start: str
    end: str
    primer: str
    lead_in: str
    opening: Opening
    no_thought: str
    native: bool
    tool_call_openers: tuple[str, ...]


def find_profile(
    tokenizer: PreTrainedTokenizerBase,
    *,
    stop_token_ids: tuple[int, ...],
    vocab_size: int,
    overrides: MarkerOverrides | None = None,
) -> MarkerProfile:
    """Find the markers of a model.

    `stop_token_ids` are all ids that end a reply in the engine; `vocab_size` is the size of
    the model's logits.

    Markers set by the operator are treated as the model's own: they have no primer and no
    lead-in, unless those are set too.

    Raises:
        ProfileError: the markers cannot work; the error names the override at fault.
    """
    overrides = overrides or MarkerOverrides()
    texts = _choose_texts(tokenizer, overrides)
    encoder = ForcedTextEncoder(tokenizer, stop_token_ids)
    start, end = encoder.encode_markers(texts.start, texts.end)
    primer = encoder.encode("thinking_primer", texts.primer)
    lead_in = encoder.encode("thinking_lead_in", texts.lead_in)
    openers = _find_opener_ids(tokenizer, texts, excluded={*stop_token_ids, *start, *end})
    pause = _find_added_token(tokenizer, PAUSE_TEXT, encoder.encode_prompt_text(FILLER_TEXT))
    implicit = _find_added_token(tokenizer, IMPLICIT_TEXT, ())
    reserved = frozenset(
        (*stop_token_ids, *start, *end, *primer, *lead_in, *openers, *pause, *implicit)
    )
    stand_ins = choose_stand_ins(tokenizer, reserved, vocab_size)
    if len(stand_ins) < NUM_STAND_INS:
        raise ProfileError(None, f"no two free token ids among the model's {vocab_size}")
    return MarkerProfile(
        name=texts.name,
        start_token_ids=start,
        end_token_ids=end,
        opening=texts.opening,
        stop_token_ids=tuple(stop_token_ids),
        eos_stand_in_id=stand_ins[0],
        exit_stand_in_id=stand_ins[1],
        primer_token_ids=primer,
        lead_in_token_ids=lead_in,
        no_thought_token_ids=encoder.encode_prompt_text(texts.no_thought),
        tool_call_token_ids=openers,
        pause_token_ids=pause,
        implicit_token_ids=implicit,
        native=texts.native,
    )


def _find_added_token(
    tokenizer: PreTrainedTokenizerBase, text: str, default: tuple[int, ...]
) -> tuple[int, ...]:
    """Return the added token whose text is `text`, or `default` if the tokenizer has none."""
    token_id = _map_added_tokens(tokenizer).get(text)
    return default if token_id is None else (token_id,)


def _find_opener_ids(
    tokenizer: PreTrainedTokenizerBase, texts: _ProfileTexts, excluded: set[int]
) -> tuple[int, ...]:
    """Return the family's tool call openers that are single added tokens of the tokenizer."""
    ids = _map_added_tokens(tokenizer)
    found = (ids[text] for text in texts.tool_call_openers if text in ids)
    return tuple(token_id for token_id in found if token_id not in excluded)


def _map_added_tokens(tokenizer: PreTrainedTokenizerBase) -> dict[str, int]:
    return {token.content: i for i, token in tokenizer.added_tokens_decoder.items()}


def _choose_texts(tokenizer: PreTrainedTokenizerBase, overrides: MarkerOverrides) -> _ProfileTexts:
    family = _apply_overrides(tokenizer, _detect_family(tokenizer), overrides)
    native = family.name != PRIMED.name
    probe = probe_template(tokenizer, family.start, family.end)
    texts = _make_native_texts(family, probe) if native else _make_primed_texts(family)
    primer, lead_in = overrides.primer, overrides.lead_in
    if primer is not None:
        texts = replace(texts, primer=primer, native=native and not primer)
    return texts if lead_in is None else replace(texts, lead_in=lead_in)


def _make_primed_texts(family: MarkerFamily) -> _ProfileTexts:
    return _ProfileTexts(
        name=family.name,
        start=family.start,
        end=family.end,
        primer=PRIMER_TEXT,
        lead_in=LEAD_IN_TEXT,
        opening=Opening.FORCED,
        no_thought="",
        native=False,
        tool_call_openers=family.tool_call_openers,
    )


def _make_native_texts(family: MarkerFamily, probe: TemplateProbe) -> _ProfileTexts:
    """Choose the texts of a model that was trained with the markers.

    To switch thinking off, a thought that the prompt opens is closed in the prompt; else an
    empty thought is appended.
    """
    if probe.opens_thought:
        opening, primer, no_thought = (
            Opening.PROMPT,
            "",
            _make_closing_text(family, probe.after_start),
        )
    else:
        opening, primer, no_thought = Opening.FORCED, family.after_start, family.empty_thought
    return _ProfileTexts(
        name=family.name,
        start=family.start,
        end=family.end,
        primer=primer,
        lead_in="",
        opening=opening,
        # If the template has its own way to switch thinking off, it is the best.
        no_thought=no_thought if probe.no_thought is None else probe.no_thought,
        native=True,
        tool_call_openers=family.tool_call_openers,
    )


def _make_closing_text(family: MarkerFamily, after_start: str) -> str:
    """Return the text that makes an empty thought of the thought that the prompt has opened."""
    opened = family.start + after_start
    if not after_start:
        return family.end
    if family.empty_thought.startswith(opened):
        return family.empty_thought.removeprefix(opened)
    return f"\n{family.end}\n\n"


def _apply_overrides(
    tokenizer: PreTrainedTokenizerBase, family: MarkerFamily, overrides: MarkerOverrides
) -> MarkerFamily:
    """Replace the detected markers by the operator's."""
    if not overrides.has_markers:
        return family
    start = family.start if overrides.start is None else overrides.start
    end = family.end if overrides.end is None else overrides.end
    known = [other for other in FAMILIES if (other.start, other.end) == (start, end)]
    if not known:
        return MarkerFamily("custom", start, end, after_start="", empty_thought=start + end)
    return _find_by_tokens(tokenizer, known) or known[-1]


def _detect_family(tokenizer: PreTrainedTokenizerBase) -> MarkerFamily:
    """Detect the family by added tokens, else by markers in the chat template; else primed."""
    template = str(tokenizer.chat_template or "")
    if family := _find_by_tokens(tokenizer, FAMILIES):
        silent = template and family.start not in template and family.end not in template
        return _prime_with_markers(family) if silent and family.template_tells else family
    for family in FAMILIES:
        if all(text in template for text in family.needed_tokens):
            return family
    for family in FAMILIES:
        plain = family.needed_tokens == (family.start, family.end) and family.start in template
        if plain and probe_template(tokenizer, family.start, "").opens_thought:
            return family
    return PRIMED


def _find_by_tokens(
    tokenizer: PreTrainedTokenizerBase, families: Sequence[MarkerFamily]
) -> MarkerFamily | None:
    """Return the first of `families` whose tokens the tokenizer has, or None."""
    added = _map_added_tokens(tokenizer).keys()
    return next((family for family in families if added >= set(family.needed_tokens)), None)


def _prime_with_markers(family: MarkerFamily) -> MarkerFamily:
    """Return the primed family, with markers that are tokens of the model.

    The model was not trained to think: it has the tokens because a sibling of it was.
    """
    return replace(
        PRIMED,
        start=family.start,
        end=family.end,
        tool_call_openers=family.tool_call_openers,
    )
