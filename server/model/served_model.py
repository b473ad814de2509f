"""A loaded model: its engine and the tables that are derived from it once.

Renders and plans the prompts of requests in a separate thread. Knows nothing of HTTP or of the
fields of request bodies.
"""

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, TypeVar

from server.callers.context import caller
from server.callers.turns import Turns
from server.constraint.answer_constraint import AnswerConstraint
from server.engine.protocol import Engine, EnginePrompt
from server.errors.api import BadRequestError
from server.errors.internal import ConstraintError, PromptError
from server.model.earlier_thought import check_origin
from server.model.evaluation import find_evaluation
from server.model.limits import ReplyLimits
from server.model.names import ModelNames
from server.model.prompt_planner import PromptDraft, PromptPlanner, make_budget_policy
from server.prompt.advice import advise_on_prompt
from server.prompt.conversation import Conversation, PlainPrompt
from server.prompt.cut_thought import CutThought, ThoughtOrigin, digest_markers, digest_prompt
from server.prompt.images import extract_images
from server.prompt.plain_prompt import encode_plain_prompt
from server.prompt.prepared_prompt import PreparedPrompt
from server.prompt.rendering import render_prompt
from server.prompt.template import check_template_kwargs, select_thinking_hints
from server.settings.settings import ServerSettings
from server.tools.visible_tokens import find_call_token_ids
from thinking.budget import BudgetRequest
from thinking.markers.boundaries import find_boundary_token_ids, find_line_token_ids
from thinking.markers.imitation import find_forbidden_beginning
from thinking.tracker_state import TrackerTables

ResultT = TypeVar("ResultT")


class ServedModel:
    """An engine with its tables and budget policy."""

    def __init__(self, engine: Engine, settings: ServerSettings) -> None:
        self.engine = engine
        self.names = ModelNames.of(
            engine.model_name,
            settings.served_model_name,
            accepts_any=settings.accept_any_model_name,
        )
        self.created = int(time.time())
        self.clock: Callable[[], float] = time.monotonic
        self._advises = settings.advice
        folder = engine.tokenizer.name_or_path
        self.evaluation = find_evaluation(settings.evaluation_file, folder)
        self.tables = TrackerTables(engine.profile, find_boundary_token_ids(engine.tokenizer))
        self.line_token_ids = find_line_token_ids(engine.tokenizer)
        self.policy = make_budget_policy(settings, native=engine.profile.native)
        own = (settings.thinking_start, settings.thinking_end)
        self.guarded_texts = tuple(text for text in own if text)
        self._answer_never_has = tuple(_iterate_marker_texts(engine))
        self._planner = PromptPlanner(
            engine.profile, engine.tokenizer, self.policy, engine.max_model_len, self.guarded_texts
        )
        self.filtered_markers = _find_filtered_markers(engine)
        self._answer_never_begins = tuple(
            find_forbidden_beginning(marker.lstrip())
            for marker in self.filtered_markers
            if not marker.isspace()
        )
        self.call_token_ids = find_call_token_ids(engine.tokenizer, engine.profile)
        # One thread, since tokenizers are not thread-safe; separate, to keep open streams running.
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="tokenizer")
        # One task runs, and a second one follows without waiting for the event loop.
        self._turns = Turns(2)

    @property
    def marker_pair(self) -> tuple[str, str]:
        """The start and end marker as text."""
        profile, tokenizer = self.engine.profile, self.engine.tokenizer
        pair = (profile.start_token_ids, profile.end_token_ids)
        start, end = (str(tokenizer.decode(token_ids)) for token_ids in pair)
        return start, end

    async def prepare(
        self,
        prompt: Conversation | PlainPrompt,
        request: BudgetRequest,
        limits: ReplyLimits,
        earlier: CutThought | None = None,
        *,
        needs_origin: bool = False,
    ) -> PreparedPrompt:
        """Render the prompt and plan the thought, which goes on from `earlier`, if any.

        `needs_origin`: the thought may be sealed.

        Raises:
            PromptError: the template rejects the messages.
            BudgetError, BadRequestError: the prompt is too long, an option does not fit, or
                `earlier` belongs elsewhere.
        """
        hints = self._select_hints(prompt, request) if earlier is None else earlier.origin.hints
        rendered, images = await self._render(prompt, hints)
        origin = None
        if needs_origin or earlier is not None:
            origin = self._make_origin(rendered.token_ids, images, hints)
        if earlier is not None and origin is not None:
            check_origin(earlier, origin)
        draft = PromptDraft(prompt, rendered.token_ids, request, limits)
        prepared = await self.run_in_tokenizer_thread(lambda: self._planner.plan(draft, earlier))
        advice = prepared.advice
        if self._advises and prepared.plan.thinks and isinstance(prompt, Conversation):
            advice = (*advice, *advise_on_prompt(prompt.messages))
        return replace(prepared, advice=advice, images=rendered.images, origin=origin)

    def _make_origin(
        self, token_ids: Sequence[int], images: Sequence[bytes], hints: Mapping[str, Any]
    ) -> ThoughtOrigin:
        engine = self.engine
        prompt = digest_prompt(token_ids, images)
        return ThoughtOrigin(engine.model_name, digest_markers(engine.profile), prompt, hints)

    def _select_hints(
        self, prompt: Conversation | PlainPrompt, request: BudgetRequest
    ) -> Mapping[str, Any]:
        if isinstance(prompt, PlainPrompt):
            return {}
        return select_thinking_hints(self.engine.tokenizer, request)

    async def _render(
        self, prompt: Conversation | PlainPrompt, hints: Mapping[str, Any]
    ) -> tuple[EnginePrompt, list[bytes]]:
        """Return the prompt as the model sees it, and the encoded images in it."""
        images, token_ids = await self.run_in_tokenizer_thread(
            lambda: (self._extract_images(prompt), self._encode_prompt(prompt, hints))
        )
        if not images:
            return EnginePrompt(token_ids), []
        return await self.engine.with_images(token_ids, images), images

    def _extract_images(self, prompt: Conversation | PlainPrompt) -> list[bytes]:
        if isinstance(prompt, PlainPrompt):
            return []
        images = extract_images(prompt.messages, prompt.field)
        most = self.engine.max_images
        if len(images) > most:
            reads = f"at most {most} images per prompt" if most else "text only, no images"
            raise PromptError(prompt.field, f"this model reads {reads}")
        return images

    async def encode(self, prompt: Conversation | PlainPrompt) -> Sequence[int]:
        """Return the token ids of a prompt without thinking options.

        Raises:
            PromptError, BadRequestError: the messages or a token id are invalid.
        """
        rendered, _ = await self._render(prompt, {})
        return rendered.token_ids

    async def encode_words(self, text: str) -> tuple[int, ...] | None:
        """Return the tokens of a caller's text inside a thought; None: it has control tokens."""
        return await self.run_in_tokenizer_thread(lambda: self._planner.encode_words(text))

    async def run_in_tokenizer_thread(self, work: Callable[[], ResultT]) -> ResultT:
        """Run `work`, which uses the tokenizer or is slow, in its thread. Callers take turns."""
        loop = asyncio.get_running_loop()
        return await self._turns.take(
            caller.get(), lambda: loop.run_in_executor(self._executor, work)
        )

    async def check_constraint(self, constraint: AnswerConstraint, prompt: PreparedPrompt) -> None:
        """Check that `constraint` can be enforced on the answers to `prompt`.

        Raises:
            ConstraintError: the constraint cannot be enforced.
            BadRequestError: it conflicts with another option of the request.
        """
        # The tokens of such a thought would be inserted into the text that the grammar parses.
        if prompt.plan.segments is not None:
            raise BadRequestError(
                f"thinking_options.gate: thoughts inside an answer cannot be combined with "
                f"{constraint.field}",
                param="thinking_options.gate",
                code="invalid_value",
            )
        literals = "\n".join(constraint.literals)
        if any(text in literals for text in self._answer_never_has):
            reason = "contains the text of a thinking marker, which no answer may contain"
            raise ConstraintError(constraint.field, reason)
        if any(head in literals for head in self._answer_never_begins):
            reason = "contains most of a thinking marker, which is removed from every answer"
            raise ConstraintError(constraint.field, reason)
        await self.engine.check_constraint(constraint)

    def close(self) -> None:
        """Stop the tokenizer's thread."""
        self._executor.shutdown(wait=False, cancel_futures=True)

    def _encode_prompt(
        self, prompt: Conversation | PlainPrompt, hints: Mapping[str, Any]
    ) -> Sequence[int]:
        tokenizer = self.engine.tokenizer
        if isinstance(prompt, PlainPrompt):
            return encode_plain_prompt(
                prompt, tokenizer, self.engine.vocab_size, self.guarded_texts
            )
        check_template_kwargs(tokenizer, prompt.template_kwargs)
        kwargs = {**hints, **prompt.template_kwargs}
        if prompt.continues:
            kwargs["continue_final_message"] = True
        if not prompt.begins_reply:
            kwargs["add_generation_prompt"] = False
        if prompt.tools:
            kwargs["tools"] = list(prompt.tools)
        return render_prompt(tokenizer, prompt.messages, guarded_texts=self.guarded_texts, **kwargs)


def _iterate_marker_texts(engine: Engine) -> Iterator[str]:
    """Yield the texts of the markers without surrounding whitespace."""
    for token_ids in (engine.profile.start_token_ids, engine.profile.end_token_ids):
        if text := str(engine.tokenizer.decode(token_ids)).strip():
            yield text


def _find_filtered_markers(engine: Engine) -> tuple[str, ...]:
    """Return the markers made of ordinary tokens only: other tokens can spell their text too."""
    added = engine.tokenizer.added_tokens_decoder
    markers = (engine.profile.start_token_ids, engine.profile.end_token_ids)
    return tuple(
        str(engine.tokenizer.decode(token_ids))
        for token_ids in markers
        if not any(token_id in added for token_id in token_ids)
    )
