"""Proves that an engine elsewhere can keep a budget: it has our sampler, model and tokenizer.

A probe is a request under a plan that forces tokens which no model writes by itself. Only an engine
with the sampler, in this version and with the same markers, gives them back.
"""

import re
import secrets
from typing import Any

from transformers import PreTrainedTokenizerBase
from vllm.sampling_params import SamplingParams

from server.engine.protocol import EngineRequest, SamplingSettings
from server.engine.remote.body import read_body
from server.engine.remote.errors import EngineRefusedError
from server.engine.remote.upstream import Upstream
from server.engine.remote.wire import (
    GENERATE_PATH,
    decode_frame,
    decode_output,
    encode_request,
)
from server.errors.internal import EngineError
from thinking.markers.profile import MarkerProfile
from thinking.plan import EXTRA_ARGS_KEY, ThinkingPlan, ThinkingRules, make_plan
from thinking.vllm_plugin.identity import IDENTITY_KEY, EngineIdentity

NUM_WORDS = 4  # of the wrap-up: one in 10^18 by chance, with a vocabulary of 32,000
MODELS_PATH = "/v1/models"
_MAX_ANSWER_BYTES = 2**20
# What our own package says in an engine. Its other words may name paths or addresses.
_OUR_WORDS = re.compile(r"this engine (has|was)[^\"\\\n]{1,80}|thinking plan: [^\"\\\n]{1,200}")


class ProbeError(Exception):
    """An engine that must not be used; the message says why, without its address."""


class Probe:
    """The questions to an engine of one model."""

    def __init__(
        self,
        profile: MarkerProfile,
        tokenizer: PreTrainedTokenizerBase,
        vocab_size: int,
        identity: EngineIdentity,
        max_model_len: int,
    ) -> None:
        self._profile = profile
        self._vocab_size = vocab_size
        self._identity = identity
        self._max_model_len = max_model_len
        special = set(tokenizer.all_special_ids) | set(tokenizer.added_tokens_decoder)
        markers = {*profile.start_token_ids, *profile.end_token_ids, *profile.stop_token_ids}
        words = sorted(set(tokenizer.get_vocab().values()) - special - markers)
        self._words = [word for word in words if word < vocab_size]

    async def ask(self, upstream: Upstream) -> None:
        """Ask an engine whether it may be used.

        Raises:
            ProbeError: it may not.
        """
        try:
            length = _read_max_model_len(await upstream.get_json(MODELS_PATH))
            if length is not None and length < self._max_model_len:
                raise ProbeError(
                    f"its --max-model-len is {length}, and {self._max_model_len} is needed"
                )
            await self._check_sampler(upstream)
        except EngineRefusedError as error:
            raise ProbeError(f"it rejects the probe: {_read_reason(error)}") from error
        except EngineError as error:
            raise ProbeError(str(error)) from error

    async def _check_sampler(self, upstream: Upstream) -> None:
        plan = self._make_plan()
        params = SamplingParams(
            max_tokens=plan.close_end,
            temperature=0.0,
            detokenize=False,
            extra_args={EXTRA_ARGS_KEY: plan.to_dict(), IDENTITY_KEY: self._identity.to_dict()},
        )
        request = EngineRequest(
            request_id=f"probe-{secrets.token_hex(8)}",
            prompt_token_ids=[self._words[0]],
            sampling=SamplingSettings(max_tokens=plan.close_end),
            plan=plan,
        )
        body = encode_request(request, params, streams=False)
        async with upstream.post(GENERATE_PATH, body) as response:
            output = decode_output(
                decode_frame(await read_body(response, _MAX_ANSWER_BYTES)),
                request,
                self._vocab_size,
            )
        if output is None or tuple(output.token_ids) != plan.script[: plan.close_end]:
            raise ProbeError("it does not have the sampler (install the plugin in its environment)")

    def _make_plan(self) -> ThinkingPlan:
        """Return a plan whose thought is closed as soon as it is opened, with random words."""
        words = tuple(secrets.choice(self._words) for _ in range(NUM_WORDS))
        profile = self._profile
        budget = sum(map(len, (profile.start_token_ids, words, profile.end_token_ids)))
        return make_plan(profile, budget, ThinkingRules(wrap_up_token_ids=words, loop_guard=None))


def _read_max_model_len(models: Any) -> int | None:
    try:
        return int(models["data"][0]["max_model_len"])
    except (TypeError, KeyError, IndexError, ValueError):
        return None  # a router's list, for example


def _read_reason(error: EngineRefusedError) -> str:
    """Return the reason of our package, or only the status."""
    found = _OUR_WORDS.search(error.detail)
    return found[0].rstrip() if found else str(error)
