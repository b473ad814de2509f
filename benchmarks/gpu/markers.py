"""Thinking markers of the benchmark's model, and vLLM's options for it.

Shared by the stages that use vLLM. Imports it, so :func:`~.settings.set_runner_environment` has to
come first.
"""

from dataclasses import dataclass
from typing import Any

from transformers import AutoConfig, AutoTokenizer, PreTrainedTokenizerBase

from benchmarks.gpu.random_model import END, START
from benchmarks.gpu.settings import Settings
from thinking.markers.boundaries import find_boundary_token_ids
from thinking.markers.detection import MarkerOverrides, find_profile
from thinking.markers.profile import MarkerProfile
from thinking.tracker_state import TrackerTables
from thinking.vllm_plugin.engine_setup import PROCESSOR


@dataclass(frozen=True, slots=True)
class ModelMarkers:
    """A model's tokenizer, its vocabulary's size, and its thinking markers."""

    tokenizer: PreTrainedTokenizerBase
    vocab_size: int
    tables: TrackerTables

    @property
    def profile(self) -> MarkerProfile:
        """The marker profile."""
        return self.tables.profile

    def choose_word_ids(self) -> list[int]:
        """Return ids of ordinary tokens: no marker, no stop token, no end of a sentence."""
        profile = self.profile
        special = {
            *self.tables.boundary_token_ids,
            *(profile.start_token_ids + profile.end_token_ids + profile.stop_token_ids),
            *(profile.eos_stand_in_id, profile.exit_stand_in_id, profile.segment_signal_id),
            *self.tokenizer.all_special_ids,
        }
        return [
            id_ for id_ in range(min(len(self.tokenizer), self.vocab_size)) if id_ not in special
        ]


def find_markers(settings: Settings) -> ModelMarkers:
    """Return the markers of the benchmark's model.

    Raises:
        ProfileError: a model that was given has none that the server could use.
    """
    tokenizer = AutoTokenizer.from_pretrained(settings.model)
    config = AutoConfig.from_pretrained(settings.model)
    vocab_size = int(config.get_text_config().vocab_size)
    # The random model's template knows no thoughts.
    random = MarkerOverrides(start=START, end=END, primer="", lead_in="")
    profile = find_profile(
        tokenizer,
        stop_token_ids=(int(tokenizer.eos_token_id),),
        vocab_size=vocab_size,
        overrides=MarkerOverrides() if settings.has_weights else random,
    )
    tables = TrackerTables(profile, find_boundary_token_ids(tokenizer))
    return ModelMarkers(tokenizer, vocab_size, tables)


def make_engine_options(settings: Settings, num_requests: int) -> dict[str, Any]:
    """Return vLLM's options, the same for both sides."""
    options: dict[str, Any] = {
        "model": settings.model,
        "max_model_len": 1024,
        "max_num_seqs": num_requests,
        "seed": 0,
        "enable_prefix_caching": False,  # rounds repeat their prompts
    }
    if not settings.has_weights:
        options |= {"load_format": "dummy", "dtype": "bfloat16"}
    if settings.is_cpu:
        options |= {"enforce_eager": True}
    else:
        options |= {"gpu_memory_utilization": settings.memory_share}
    return options | settings.engine_options


def make_thinking_options(settings: Settings, markers: ModelMarkers) -> dict[str, Any]:
    """Return vLLM's options that load our logits processor, as the server does."""
    runner = "v1" if settings.is_cpu else "v2"
    return {
        "logits_processors": [PROCESSOR.format(runner=runner)],
        "additional_config": {"thinking": markers.profile.to_dict()},
    }
