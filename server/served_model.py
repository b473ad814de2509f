"""A model that is ready to answer: its engine and what is derived from it once.

Turns a request's wishes into an engine request's budget, plan and prompt. Knows nothing
of HTTP nor of how a body spells its wishes.
"""

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TypeVar

from server.advice import prompt_advice
from server.engine.constraint import AnswerConstraint
from server.engine.protocol import ConstraintError, Engine, EnginePrompt
from server.errors import BadRequestError, PromptTooLongError
from server.forgery import ForgeryGuard
from server.images import images_of
from server.prompt import PromptError, render_prompt
from server.reply.limits import ReplyLimits
from server.reply.plain_prompt import beginning, plain_token_ids
from server.reply.prompting import Conversation, PlainPrompt
from server.settings import ServerSettings
from server.strategies import budget_too_small, share_of_branch
from server.template import check_template_kwargs, thinking_hints
from server.thought_planner import ThoughtPlanner
from server.tools.visible_tokens import call_token_ids
from thinking.boundaries import boundary_token_ids, line_token_ids
from thinking.budget import (
    DEFAULT_EFFORT_TOKENS,
    BudgetAsk,
    BudgetPolicy,
    ThinkingBudget,
    grace_in_tokens,
)
from thinking.fragments import FragmentEncoder
from thinking.markers import MarkerProfile
from thinking.plan import ThinkingPlan, marker_cost
from thinking.strategies.protocol import Strategy
from thinking.tracker_state import TrackerTables

NATIVE_DEFAULT_TOKENS = 4096
PRIMED_DEFAULT_TOKENS = 128  # models that were not trained to think gain little from more

ResultT = TypeVar("ResultT")


@dataclass(frozen=True, slots=True)
class PreparedPrompt:
    """Prompt ids with the budget and plan that hold for each choice made from them."""

    token_ids: Sequence[int]
    budget: ThinkingBudget
    plan: ThinkingPlan
    # Tokens between the prompt's end and the context's, and those of them for thoughts.
    context_left: int
    thought_room: int
    advice: tuple[str, ...] = ()
    # Of the engine's own kind, for its requests; None: the prompt has none.
    images: object | None = None
    # Whether the reply goes on with the prompt's own text.
    continues: bool = False

    @property
    def context_token_ids(self) -> Sequence[int]:
        """What the text of a reply depends on."""
        return self.token_ids if self.continues else ()


class ServedModel:
    """One engine with its tables and its budget policy."""

    def __init__(self, engine: Engine, settings: ServerSettings) -> None:
        self.engine = engine
        self.created = int(time.time())
        self._advises = settings.advice
        self.tables = TrackerTables(engine.profile, boundary_token_ids(engine.tokenizer))
        self.line_token_ids = line_token_ids(engine.tokenizer)
        self.policy = _policy(settings, native=engine.profile.native)
        own = (settings.thinking_start, settings.thinking_end)
        self.marker_texts = tuple(text for text in own if text)
        self._answer_never_has = tuple(_texts_of_markers(engine))
        encoder = FragmentEncoder(engine.tokenizer)
        guard = ForgeryGuard(engine.tokenizer, self.marker_texts)
        self._planner = ThoughtPlanner(engine.profile, encoder, guard)
        self._inner_planner = ThoughtPlanner(engine.profile.inside_text, encoder, guard)
        self.text_markers = _text_markers(engine)
        self.call_token_ids = call_token_ids(engine.tokenizer, engine.profile)
        # One thread: a tokenizer is not safe in two, and must not hold up open streams.
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="tokenizer")

    @property
    def marker_pair(self) -> tuple[str, str]:
        """The texts before and after a thought."""
        profile, tokenizer = self.engine.profile, self.engine.tokenizer
        pair = (profile.start_token_ids, profile.end_token_ids)
        start, end = (str(tokenizer.decode(token_ids)) for token_ids in pair)
        return start, end

    async def prepare(
        self,
        prompt: Conversation | PlainPrompt,
        ask: BudgetAsk,
        limits: ReplyLimits,
    ) -> PreparedPrompt:
        """Render the prompt and plan the thought.

        Raises:
            PromptError: the template refuses the messages.
            BudgetError, BadRequestError: prompt too long, or an option that cannot fit.
        """
        rendered = await self._render(prompt, ask)
        draft = _Draft(prompt, rendered.token_ids, ask, limits)
        prepared = await self.in_tokenizer_thread(lambda: self._prepare(draft))
        advice = prepared.advice
        if self._advises and prepared.plan.thinks and isinstance(prompt, Conversation):
            advice = (*advice, *prompt_advice(prompt.messages))
        return replace(prepared, advice=advice, images=rendered.images)

    async def _render(self, asked: Conversation | PlainPrompt, ask: BudgetAsk) -> EnginePrompt:
        """The prompt as the model sees it."""
        images = []
        if isinstance(asked, Conversation):
            images = await self.in_tokenizer_thread(lambda: self._images(asked))
        token_ids = await self.in_tokenizer_thread(lambda: self._prompt_token_ids(asked, ask))
        if not token_ids and isinstance(asked, PlainPrompt):
            token_ids = beginning(asked, self.engine.tokenizer)
        if not images:
            return EnginePrompt(token_ids)
        return await self.engine.with_images(token_ids, images)

    def _images(self, asked: Conversation) -> list[bytes]:
        images = images_of(asked.messages, asked.field)
        most = self.engine.max_images
        if len(images) > most:
            reads = f"at most {most} images a prompt" if most else "text only, no images"
            raise PromptError(asked.field, f"this model reads {reads}")
        return images

    async def encode(self, prompt: Conversation | PlainPrompt) -> Sequence[int]:
        """Token ids of a prompt that says nothing of thinking.

        Raises:
            PromptError, BadRequestError: the messages, or a token id, are wrong.
        """
        return await self.in_tokenizer_thread(lambda: self._prompt_token_ids(prompt, BudgetAsk()))

    async def in_tokenizer_thread(self, work: Callable[[], ResultT]) -> ResultT:
        """Run what uses the tokenizer, or takes long, beside the event loop."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._executor, work)

    async def check_constraint(self, constraint: AnswerConstraint, prompt: PreparedPrompt) -> None:
        """Return where the answers to `prompt` can be held to `constraint`.

        Raises:
            ConstraintError: they cannot.
            BadRequestError: another option of the request forbids it.
        """
        # Its tokens would be put into the middle of what the grammar reads.
        if prompt.plan.segments is not None:
            raise BadRequestError(
                f"thinking_options.gate: thoughts inside an answer do not go with "
                f"{constraint.field}",
                param="thinking_options.gate",
                code="invalid_value",
            )
        literals = "\n".join(constraint.literals)
        if any(text in literals for text in self._answer_never_has):
            reason = "has the text of a thinking marker, which no answer may contain"
            raise ConstraintError(constraint.field, reason)
        await self.engine.check_constraint(constraint)

    def close(self) -> None:
        """Free the tokenizer's thread."""
        self._executor.shutdown(wait=False, cancel_futures=True)

    def _prepare(self, draft: "_Draft") -> PreparedPrompt:
        if draft.ask.strategy is not None:
            return self._prepare_search(draft, draft.ask.strategy)
        prepared = self._planned(draft)
        if prepared.plan.opens:
            return prepared
        if not draft.asked.continues:
            # Where the template opens a thought, it is closed in the prompt too.
            closed = [*draft.token_ids, *self.engine.profile.no_thought_token_ids]
            prepared = self._planned(replace(draft, token_ids=closed))
        if prepared.plan.thinks:
            return prepared
        return replace(prepared, advice=self._advice(prepared.budget, draft))

    def _planned(self, draft: "_Draft") -> PreparedPrompt:
        budget = self._resolve(draft)
        return self._prepared(draft, budget, self._planner_for(draft).plan(draft.ask, budget))

    def _planner_for(self, draft: "_Draft") -> ThoughtPlanner:
        return self._inner_planner if draft.asked.continues else self._planner

    def _profile_for(self, draft: "_Draft") -> MarkerProfile:
        profile = self.engine.profile
        return profile.inside_text if draft.asked.continues else profile

    def _prompt_token_ids(self, asked: Conversation | PlainPrompt, ask: BudgetAsk) -> Sequence[int]:
        tokenizer = self.engine.tokenizer
        if isinstance(asked, PlainPrompt):
            return plain_token_ids(asked, tokenizer, self.engine.vocab_size, self.marker_texts)
        check_template_kwargs(tokenizer, asked.template_kwargs)
        kwargs = {**thinking_hints(tokenizer, ask), **asked.template_kwargs}
        if asked.continues:
            kwargs["continue_final_message"] = True
        if not asked.begins_reply:
            kwargs["add_generation_prompt"] = False
        return render_prompt(tokenizer, asked.messages, marker_texts=self.marker_texts, **kwargs)

    def _prepared(
        self, draft: "_Draft", budget: ThinkingBudget, plan: ThinkingPlan
    ) -> PreparedPrompt:
        context_left = self.engine.max_model_len - len(draft.token_ids)
        return PreparedPrompt(
            draft.token_ids,
            budget,
            plan,
            context_left,
            context_left - budget.answer_reserve,
            continues=draft.asked.continues,
        )

    def _prepare_search(self, draft: "_Draft", strategy: Strategy) -> PreparedPrompt:
        """The plan is that of one branch; the budget is that of all together."""
        alone = self._resolve(draft)
        # Branches run side by side: together they may be longer than the context.
        budget = self._resolve(draft, strategy.num_branches)
        share = share_of_branch(strategy, budget, marker_cost(self._profile_for(draft)))
        context_left = self.engine.max_model_len - len(draft.token_ids)
        thought_room = context_left - min(alone.answer_reserve, context_left)
        thought_tokens = min(share.thought_tokens, thought_room)
        grace = grace_in_tokens(draft.ask.grace, thought_tokens) if share.has_grace else 0
        branch = replace(budget, budget=thought_tokens, grace_tokens=grace)
        plan = self._planner_for(draft).plan(draft.ask, branch)
        if not plan.opens:
            raise budget_too_small(strategy, budget, "cannot hold the markers of a thought")
        prepared = self._prepared(draft, budget, plan)
        return replace(prepared, thought_room=thought_room)

    def _resolve(self, draft: "_Draft", num_branches: int = 1) -> ThinkingBudget:
        context, num_prompt_tokens = self.engine.max_model_len, len(draft.token_ids)
        if num_prompt_tokens >= context:
            raise PromptTooLongError(num_prompt_tokens, context, param=draft.asked.field)
        return draft.limits.resolve(
            draft.ask, self.policy, (context - num_prompt_tokens) * num_branches
        )

    def _advice(self, budget: ThinkingBudget, draft: "_Draft") -> tuple[str, ...]:
        if not budget.budget:
            return ()
        num_markers = marker_cost(self._profile_for(draft))
        text = (
            f"a budget of {budget.budget} cannot hold this model's markers ({num_markers} tokens)"
        )
        return (f"{text}: nothing was thought",)


@dataclass(frozen=True, slots=True)
class _Draft:
    """A prompt on its way to be planned."""

    asked: Conversation | PlainPrompt
    token_ids: Sequence[int]
    ask: BudgetAsk
    limits: ReplyLimits


def _texts_of_markers(engine: Engine) -> Iterator[str]:
    """What a marker looks like, white space around it left out."""
    for token_ids in (engine.profile.start_token_ids, engine.profile.end_token_ids):
        if text := str(engine.tokenizer.decode(token_ids)).strip():
            yield text


def _text_markers(engine: Engine) -> tuple[str, ...]:
    """Markers made of ordinary tokens only: their text can be spelt in other ways."""
    added = engine.tokenizer.added_tokens_decoder
    markers = (engine.profile.start_token_ids, engine.profile.end_token_ids)
    return tuple(
        str(engine.tokenizer.decode(token_ids))
        for token_ids in markers
        if not any(token_id in added for token_id in token_ids)
    )


def _policy(settings: ServerSettings, *, native: bool) -> BudgetPolicy:
    default = settings.default_thinking_tokens
    if default is None:
        default = NATIVE_DEFAULT_TOKENS if native else PRIMED_DEFAULT_TOKENS
    return BudgetPolicy(
        default_tokens=default,
        effort_tokens={**DEFAULT_EFFORT_TOKENS, **settings.effort_tokens},
        model_ceiling=settings.max_thinking_tokens,
    )
