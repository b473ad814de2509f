"""Reading a request's body: bytes to a strictly checked model, or a 400 that helps.

The one place that turns pydantic's complaints into ours. An unknown field is answered
with the nearest right name. Does not know which endpoint it reads for, and never
quotes a value back.
"""

import difflib
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, ClassVar, TypeVar, get_args

from fastapi import Request
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import from_json, to_json

from server.dialects.reading import TREE, take_claims
from server.dialects.resolution import ThinkingParams, resolve_claims
from server.dialects.spellings import WRONG_NAMES
from server.errors.api import ApiError, BadRequestError

Location = tuple[str | int, ...]
# Names of fields are the client's words: an error repeats so much of them.
MAX_PATH_CHARACTERS = 200
MAX_FAULTS = 1_000
BodyT = TypeVar("BodyT", bound="StrictModel")


class StrictModel(BaseModel):
    """No unknown fields, no conversions: ``true``, ``1.0`` and ``"1"`` are not integers."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)
    # Advice for unknown fields of this body, before that of the dialects.
    right_names: ClassVar[Mapping[str, str]] = MappingProxyType({})


async def read_body(request: Request, model: type[BodyT]) -> BodyT:
    """Read and check a JSON body.

    Raises:
        ApiError: 400 for what is wrong in it, 415 where it is not declared as JSON (so that
            no web page can post here unasked). 413 comes from the middleware.
    """
    return _parse(model, await _read_raw_body(request))


async def read_dialect_body(request: Request, model: type[BodyT]) -> tuple[BodyT, ThinkingParams]:
    """Read a body that may say, in any dialect, how much to think.

    Raises:
        ApiError: as :func:`read_body`, and 400 where two of its fields disagree.
    """
    raw = await _read_raw_body(request)
    try:
        values = from_json(raw, allow_inf_nan=False)
    except ValueError as error:
        raise _invalid_json_error(str(error)) from None
    if not isinstance(values, dict):
        return _parse(model, raw), ThinkingParams()
    claims, rest = take_claims(values, _get_wire_names(model))
    if rest != values:
        # As JSON again: strict models take lists for tuples there, for one thing.
        raw = to_json(rest)
    return _parse(model, raw), resolve_claims(claims)


async def _read_raw_body(request: Request) -> bytes:
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json" and not media_type.endswith("+json"):
        raise ApiError(415, "send JSON with 'content-type: application/json'", code="not_json")
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("", "identity"):
        message = "send the body without a 'content-encoding'"
        raise ApiError(415, message, code="unsupported_encoding")
    return await request.body()


def _parse(model: type[BodyT], raw: bytes) -> BodyT:
    try:
        return model.model_validate_json(raw)
    except ValidationError as error:
        raise _to_bad_request(model, error) from None


def _invalid_json_error(reason: str) -> BadRequestError:
    message = f"the body is not valid JSON in UTF-8: {reason}"
    return BadRequestError(message, code="invalid_json")


def _to_bad_request(model: type[StrictModel], error: ValidationError) -> BadRequestError:
    """The first fault only (unknown fields first): one clear sentence beats a list."""
    if error.error_count() > MAX_FAULTS:  # to list them would take seconds
        message = f"the body has more than {MAX_FAULTS} faults"
        return BadRequestError(message, code="invalid_value")
    faults = error.errors(include_url=False, include_input=False)
    fault = min(faults, key=lambda fault: fault["type"] != "extra_forbidden")
    location: Location = fault["loc"]
    path = format_path(location)
    match fault["type"]:
        case "json_invalid":
            return _invalid_json_error(fault["ctx"]["error"])
        case "extra_forbidden":
            message = f"unknown field {path!r}{_suggest_fix(model, location)}"
            return BadRequestError(message, param=path, code="unknown_field")
        case "missing":
            return BadRequestError(f"{path} is required", param=path, code="missing_field")
        case _:
            message = f"{path or 'the body'}: {fault['msg'][:1].lower()}{fault['msg'][1:]}"
            return BadRequestError(message, param=path or None, code="invalid_value")


def format_path(location: Location) -> str:
    """``("messages", 0, "content")`` → ``messages[0].content``; of a long one, the beginning."""
    path = ""
    for step in location:
        path += f"[{step}]" if isinstance(step, int) else f".{step}"
    path = path.removeprefix(".")
    return path if len(path) <= MAX_PATH_CHARACTERS else f"{path[:MAX_PATH_CHARACTERS]}…"


def _suggest_fix(model: type[StrictModel], location: Location) -> str:
    """What the client may have meant by an unknown field."""
    path = ".".join(step for step in location if isinstance(step, str))
    name = str(location[-1])
    if advice := model.right_names.get(path) or WRONG_NAMES.get(name):
        return f": {advice}"
    parent = _find_model_at(model, location[:-1])
    for candidate, where in ((parent, location[:-1]), *_iterate_places(model)):
        if name in _get_wire_names(candidate):
            return f": it belongs at {format_path((*where, name))!r}"
    if name in TREE and len(location) > 1 and not isinstance(TREE[name], dict):
        return f": it belongs at the top level, {name!r}"
    known = [*_get_wire_names(parent), *(TREE if len(location) == 1 else ())]
    nearest = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    if nearest:
        return f": did you mean {format_path((*location[:-1], nearest[0]))!r}?"
    return ""


def _iterate_places(model: type[BaseModel]) -> Iterator[tuple[type[BaseModel], Location]]:
    """The body itself and the objects directly in it."""
    yield model, ()
    for name, info in model.model_fields.items():
        if nested := _find_model_in(info.annotation):
            yield nested, (name,)


def _get_wire_names(model: type[BaseModel]) -> list[str]:
    return [info.alias or name for name, info in model.model_fields.items()]


def _find_model_at(model: type[BaseModel], location: Location) -> type[BaseModel]:
    for step in location:
        if isinstance(step, str) and step in model.model_fields:
            model = _find_model_in(model.model_fields[step].annotation) or model
    return model


def _find_model_in(annotation: Any) -> type[BaseModel] | None:
    """The model in ``Model | None`` or ``list[Model]``."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    found = (_find_model_in(argument) for argument in get_args(annotation))
    return next((model for model in found if model), None)
