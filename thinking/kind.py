"""Kinds of thought, and the plan of those in which nothing is sampled.

A thought of pauses is N fixed tokens (Goyal et al., "Think before you speak: Training
Language Models With Pause Tokens", arXiv 2310.02226): time to compute, and no words. An
implicit thought is one token that stands for steps which the model does inside (Deng et
al., "Implicit Chain of Thought Reasoning via Knowledge Distillation", arXiv 2311.01460).
Knows no tokenizer: which tokens those are is in the model's profile.
"""

from dataclasses import replace
from enum import Enum

from thinking.markers.profile import MarkerProfile
from thinking.plan import MAX_SCRIPT_TOKENS, ThinkingPlan, ThinkingRules, make_plan


class ThoughtKind(Enum):
    """``thinking_options.kind`` on the wire."""

    TEXT = "text"  # the model writes it
    PAUSE = "pause"  # pause tokens as far as the budget goes
    IMPLICIT = "implicit"  # the one token that an implicit thinker was trained with


def make_filler_plan(profile: MarkerProfile, budget: int, kind: ThoughtKind) -> ThinkingPlan:
    """The plan of a thought that is forced from its first token to its last.

    Never longer than `budget`, nor than what a script holds; a budget that cannot hold the
    markers and one filler gives a plan that does not think.
    """
    forced = len(replace(profile, primer_token_ids=()).closed_thought_token_ids)
    room = min(budget, MAX_SCRIPT_TOKENS) - forced
    if kind is ThoughtKind.IMPLICIT:
        filler = profile.implicit_token_ids
    else:
        filler = profile.pause_token_ids * (room // max(1, len(profile.pause_token_ids)))
    if not filler or len(filler) > room:
        return ThinkingPlan()
    # One token of room is what a plan with a primer asks for; without it the end comes at once.
    with_room = forced + len(filler) + 1
    rules = ThinkingRules(loop_guard=None)
    plan = make_plan(replace(profile, primer_token_ids=filler), with_room, rules)
    return replace(plan, budget=with_room - 1)
