"""Thoughts of earlier replies that go on: to which prompts they belong, and what they add to one.

Does not know how the thought was sealed, nor whose it is.
"""

from collections.abc import Sequence
from dataclasses import replace

from server.errors.api import BadRequestError
from server.prompt.cut_thought import CutThought, ThoughtOrigin
from thinking.loop_guard import LoopGuard
from thinking.markers.profile import MarkerProfile
from thinking.plan import ThinkingPlan

FIELD = "continue_thinking.sealed"


def check_origin(thought: CutThought, here: ThoughtOrigin) -> None:
    """Raise BadRequestError unless `thought` belongs to the model and the prompt of this request.

    Raises:
        BadRequestError: it belongs to another model, other markers or another prompt.
    """
    origin = thought.origin
    if origin.model_name != here.model_name:
        raise _mismatch_error(
            f"is a thought of the model {origin.model_name!r}, and this server serves "
            f"{here.model_name!r}; only the model that began a thought can go on with it"
        )
    if origin.markers != here.markers:
        raise _mismatch_error(
            "was made with other thinking markers than this server has now (--thinking-start and "
            "the like, or another version); it can go on only where they are the same"
        )
    if origin.prompt != here.prompt:
        raise _mismatch_error(
            "belongs to another prompt; send the same messages, tools, images and template "
            "arguments as in the request that the thought is from"
        )


def check_fits(num_prompt: int, num_thought: int, context: int) -> None:
    """Raise BadRequestError unless prompt, thought and one token of a reply fit the context.

    Raises:
        BadRequestError: they do not.
    """
    if num_prompt + num_thought >= context:
        raise BadRequestError(
            f"{FIELD}: the thought has {num_thought} tokens and the prompt {num_prompt}; with at "
            f"least one token of the reply they do not fit this model's context of {context}",
            param=FIELD,
            code="thought_too_long",
        )


def go_on_from(thought: CutThought, plan: ThinkingPlan, guard: LoopGuard | None) -> ThinkingPlan:
    """Return `plan` with the tokens of `thought` on which the state after it depends."""
    kept = thought.kept
    # Where the thought was closed in the prompt, the state depends on that alone.
    end = kept.get_end(guard) if plan.opens else kept.token_ids[-1:]
    return replace(plan, earlier_token_ids=end)


def get_closing(thought: CutThought, profile: MarkerProfile) -> Sequence[int]:
    """Return the tokens that close `thought` in the prompt, where no more thinking is allowed."""
    num_begun = thought.kept.count_marker_tokens_begun(profile.end_token_ids)
    return (*profile.end_token_ids[num_begun:], *profile.lead_in_token_ids)


def _mismatch_error(what: str) -> BadRequestError:
    return BadRequestError(f"{FIELD}: {what}", param=FIELD, code="other_thought")
