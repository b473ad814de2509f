"""The values that the adapters read from vLLM: markers, draft length, and a request's plan.

The markers come from ``additional_config["thinking"]``, a plan from
``SamplingParams.extra_args["thinking"]``. Does not know which runner is used.
"""

from functools import lru_cache

from transformers import PreTrainedTokenizerBase
from vllm.config import VllmConfig
from vllm.sampling_params import SamplingParams
from vllm.tokenizers import cached_tokenizer_from_config

from thinking.markers.boundaries import find_boundary_token_ids, map_token_bytes
from thinking.markers.profile import MarkerProfile
from thinking.plan import EXTRA_ARGS_KEY, ThinkingPlan
from thinking.sampler.arrays import ArrayLibrary
from thinking.sampler.tables import AutomatonTables
from thinking.tracker_state import TrackerTables

ADDITIONAL_CONFIG_KEY = "thinking"


def make_model_tables(vllm_config: VllmConfig, arrays: ArrayLibrary) -> AutomatonTables:
    """Build the tables of the model that the worker serves."""
    tokenizer = cached_tokenizer_from_config(vllm_config.model_config)
    return AutomatonTables(
        make_tracker_tables(vllm_config),
        vllm_config.model_config.get_vocab_size(),
        arrays,
        map_token_bytes(tokenizer),
    )


def make_tracker_tables(vllm_config: VllmConfig) -> TrackerTables:
    """Build the trackers' tables of the model that the worker serves, once."""
    additional = vllm_config.additional_config
    assert isinstance(additional, dict)  # set by VllmEngine
    profile = MarkerProfile.from_dict(additional[ADDITIONAL_CONFIG_KEY])
    return _make_tracker_tables(cached_tokenizer_from_config(vllm_config.model_config), profile)


@lru_cache(maxsize=1)
def _make_tracker_tables(
    tokenizer: PreTrainedTokenizerBase, profile: MarkerProfile
) -> TrackerTables:
    return TrackerTables(profile, find_boundary_token_ids(tokenizer))


def count_draft_tokens(vllm_config: VllmConfig) -> int:
    """Return the largest number of draft tokens of a request in a step; 0: there are none."""
    speculative = vllm_config.speculative_config
    return 0 if speculative is None else int(speculative.num_speculative_tokens)


def read_plan(params: SamplingParams) -> ThinkingPlan | None:
    """Return a request's plan, or None if it has none.

    Raises:
        ValueError: see :meth:`ThinkingPlan.check`.
    """
    data = (params.extra_args or {}).get(EXTRA_ARGS_KEY)
    return None if data is None else ThinkingPlan.from_dict(data)
