"""What both adapters read of vLLM: the model's markers and a request's plan.

The markers come from ``additional_config["thinking"]``, a plan from
``SamplingParams.extra_args["thinking"]``.
"""

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


def model_tables(vllm_config: VllmConfig, arrays: ArrayLibrary) -> AutomatonTables:
    """The tables of the model that a worker serves."""
    additional = vllm_config.additional_config
    assert isinstance(additional, dict)  # set by VllmEngine
    profile = MarkerProfile.from_dict(additional[ADDITIONAL_CONFIG_KEY])
    tokenizer = cached_tokenizer_from_config(vllm_config.model_config)
    return AutomatonTables(
        TrackerTables(profile, find_boundary_token_ids(tokenizer)),
        vllm_config.model_config.get_vocab_size(),
        arrays,
        map_token_bytes(tokenizer),
    )


def plan_of(params: SamplingParams) -> ThinkingPlan | None:
    """A request's plan; None: none was made for it.

    Raises:
        ValueError: see :meth:`ThinkingPlan.check`.
    """
    data = (params.extra_args or {}).get(EXTRA_ARGS_KEY)
    return None if data is None else ThinkingPlan.from_dict(data)
