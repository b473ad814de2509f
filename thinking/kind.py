"""Kinds of thought, and plans for the kinds in which no token is sampled.

A pause thought is N fixed tokens (Goyal et al., "Think before you speak: Training Language
Models With Pause Tokens", arXiv 2310.02226): they give the model time to compute and carry
no text. An implicit thought is a single token that stands for steps which the model performs
internally (Deng et al., "Implicit Chain of Thought Reasoning via Knowledge Distillation",
arXiv 2311.01460). Knows no tokenizer: the token ids are in the model's profile.
"""

from dataclasses import replace
from enum import Enum

from thinking.markers.profile import MarkerProfile
from thinking.plan import MAX_SCRIPT_TOKENS, ThinkingPlan, ThinkingRules, make_plan


class ThoughtKind(Enum):
    """``thinking_options.kind`` on the wire."""

    TEXT = "text"  # the model writes it
    PAUSE = "pause"  # as many pause tokens as the budget holds
    IMPLICIT = "implicit"  # the token that an implicit thinker was trained with


def make_filler_plan(profile: MarkerProfile, budget: int, kind: ThoughtKind) -> ThinkingPlan:
    """Build the plan of a thought in which every token is forced.

    The thought is never longer than `budget`, nor than a script can be. A budget that cannot
    hold the markers and one filler gives a plan that does not think.
    """
    forced = len(replace(profile, primer_token_ids=()).closed_thought_token_ids)
    room = min(budget, MAX_SCRIPT_TOKENS) - forced
    if kind is ThoughtKind.IMPLICIT:
        filler = profile.implicit_token_ids
    else:
        filler = profile.pause_token_ids * (room // max(1, len(profile.pause_token_ids)))
    if not filler or len(filler) > room:
        return ThinkingPlan()
    # A plan with a primer needs room for one more token. The final budget is without it, so
    # that the thought is closed at once.
    with_room = forced + len(filler) + 1
    rules = ThinkingRules(loop_guard=None)
    plan = make_plan(replace(profile, primer_token_ids=filler), with_room, rules)
    return replace(plan, budget=with_room - 1)
