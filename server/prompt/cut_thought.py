"""A thought that was cut, with what it belongs to: it can go on only there.

Records, and the digests that tell prompts and markers apart. Knows neither how a thought is
sealed nor how it goes on.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from thinking.earlier_thought import KeptThought
from thinking.markers.profile import MarkerProfile


@dataclass(frozen=True, slots=True)
class ThoughtOrigin:
    """Model, markers and prompt of a thought; the latter two as digests.

    `hints` are the template arguments that told the model its effort or budget: they are part of
    the prompt, but a request that goes on with the thought has another budget.
    """

    model_name: str
    markers: str
    prompt: str
    hints: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class CutThought:
    """A thought up to where it was cut, and its origin."""

    kept: KeptThought
    origin: ThoughtOrigin


def digest_prompt(token_ids: Sequence[int], images: Sequence[bytes]) -> str:
    """Return a digest of a rendered prompt and of the (encoded) images in it."""
    digest = hashlib.sha256(np.asarray(token_ids, dtype="<u4").tobytes())
    for image in images:
        digest.update(hashlib.sha256(image).digest())
    return digest.hexdigest()


def digest_markers(profile: MarkerProfile) -> str:
    """Return a digest of all that decides how thoughts are opened and closed."""
    return hashlib.sha256(json.dumps(profile.to_dict(), sort_keys=True).encode()).hexdigest()
