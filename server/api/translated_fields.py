"""Fields of other servers that mean what a field of ours means, under another name.

Translated where a body has an unknown field, so that bodies in our own words pay nothing. A field
whose meaning only comes near is not here: see ``server.api.foreign_sampling``. Sources: the request
fields of vLLM before 0.12 (``guided_*``), SGLang, llama.cpp, Ollama, text-generation-inference,
text-generation-webui, KoboldCpp, Mistral and transformers' ``GenerationConfig``.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from server.errors.api import BadRequestError

# A value that says nothing: the field is left out.
NOTHING = object()
Converter = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Translation:
    """The field of ours that a foreign one means.

    Attributes:
        targets: paths of one or two steps; the first one that the endpoint has applies. Where it
            has none, the field is refused if `is_needed`, else unknown as any other.
        convert: from the foreign value to ours, or to `NOTHING`. Values that are not of the
            foreign field's type pass unchanged, for our own field to complain about.
    """

    targets: tuple[tuple[str, ...], ...]
    convert: Converter = lambda value: value
    is_needed: bool = True


def translate(body: dict[str, Any], name: str, known: Collection[str]) -> bool:
    """Write what the foreign field `name` of `body` says into ours; the foreign one stays.

    Args:
        body: the whole body, which is changed.
        name: an unknown field of it.
        known: the names of the endpoint's own fields.

    Returns:
        True if the field needs nothing more.

    Raises:
        BadRequestError: our field is there too and says something else, or the endpoint has no
            such field.
    """
    translation = _TRANSLATIONS.get(name)
    if translation is None:
        return False
    value = translation.convert(body[name])
    if value is NOTHING or value is None:
        return True
    path = next((path for path in translation.targets if path[0] in known), None)
    if path is None and not translation.is_needed:
        return False
    if path is None:
        raise BadRequestError(
            f"{name}: this endpoint has no such field", param=name, code="unsupported_sampling"
        )
    _write(body, path, name, value)
    return True


def _write(body: dict[str, Any], path: tuple[str, ...], name: str, value: Any) -> None:
    parent = body
    for step in path[:-1]:
        inner = parent.get(step)
        if inner is None:
            inner = parent[step] = {}
        if not isinstance(inner, dict):
            return  # an error of its own
        if step == "structured_outputs" and inner and path[-1] not in inner:
            raise _contradiction(name, path)  # it has exactly one kind
        parent = inner
    given = parent.get(path[-1])
    if given is not None and given != value:
        raise _contradiction(name, path)
    parent[path[-1]] = value


def _contradiction(name: str, path: tuple[str, ...]) -> BadRequestError:
    return BadRequestError(
        f"{name} and {'.'.join(path)} differ; send one of them",
        param=name,
        code="contradictory_fields",
    )


def _to_limit(value: Any) -> Any:
    """Read -1 (no limit) and -2 (up to the context), as llama.cpp and Ollama do."""
    return NOTHING if value in (-1, -2) else value


def _to_temperature(value: Any) -> Any:
    """Read whether to sample at all; greedy is temperature 0."""
    return 0 if value is False else NOTHING


def _to_stop(value: Any) -> Any:
    return NOTHING if value in ([], "") else value


_LENGTH = Translation(
    (("max_completion_tokens",), ("max_tokens",), ("max_output_tokens",)), _to_limit
)
_STOP = Translation((("stop",), ("stop_sequences",)), _to_stop)
_SEED = Translation((("seed",),))
_JSON = Translation((("structured_outputs", "json"),))
_REGEX = Translation((("structured_outputs", "regex"),))
_GRAMMAR = Translation((("structured_outputs", "grammar"),))
_TRANSLATIONS: Mapping[str, Translation] = MappingProxyType(
    {
        "ban_eos_token": Translation((("ignore_eos",),), lambda value: value or NOTHING),
        "do_sample": Translation((("temperature",),), _to_temperature),
        "ebnf": _GRAMMAR,
        "grammar": _GRAMMAR,
        "grammar_string": _GRAMMAR,
        "guided_choice": Translation((("structured_outputs", "choice"),)),
        "guided_grammar": _GRAMMAR,
        "guided_json": _JSON,
        "guided_regex": _REGEX,
        "json_schema": _JSON,
        "max_new_tokens": _LENGTH,
        "min_new_tokens": Translation((("min_tokens",),)),
        "n_predict": _LENGTH,
        "num_predict": _LENGTH,
        # Of the Messages API's beta, before `output_config`.
        "output_format": Translation((("output_config", "format"),), is_needed=False),
        "random_seed": _SEED,
        "regex": _REGEX,
        "sampling_seed": _SEED,
        "stop_sequence": _STOP,
        "stop_sequences": _STOP,
        "stopping_strings": _STOP,
        "temp": Translation((("temperature",),)),
    }
)
