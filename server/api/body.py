"""Reads a request's body into a strictly validated model, or raises a helpful 400.

Pydantic's errors are translated here and nowhere else. The error for an unknown field suggests the
nearest valid name. Does not know which endpoint it reads for, and never quotes a value back.
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
# Field names come from the client: an error repeats at most this much of them.
MAX_PATH_CHARACTERS = 200
MAX_ERRORS = 1_000
BodyT = TypeVar("BodyT", bound="StrictModel")


class StrictModel(BaseModel):
    """Model that allows no unknown fields and no conversions.

    ``true``, ``1.0`` and ``"1"`` are not integers.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)
    # Hints for unknown fields of this body; they take precedence over the dialects' hints.
    right_names: ClassVar[Mapping[str, str]] = MappingProxyType({})


async def read_body(request: Request, model: type[BodyT]) -> BodyT:
    """Read and validate a JSON body.

    Raises:
        ApiError: 400 if the body is invalid, 415 if it is not declared as JSON (otherwise any web
            page could post here without a CORS preflight). 413 comes from the middleware.
    """
    return _parse(model, await _read_raw_body(request))


async def read_dialect_body(request: Request, model: type[BodyT]) -> tuple[BodyT, ThinkingParams]:
    """Read a body that may have thinking fields, in any dialect.

    Raises:
        ApiError: see :func:`read_body`; also 400 if two of its fields disagree.
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
        # Validate JSON again, not objects: strict models accept a list for a tuple only in JSON.
        raw = to_json(rest)
    return _parse(model, raw), resolve_claims(claims)


async def _read_raw_body(request: Request) -> bytes:
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json" and not media_type.endswith("+json"):
        raise ApiError(415, "send JSON with 'content-type: application/json'", code="not_json")
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
    """Return an error about the first problem only (unknown fields first), as one sentence."""
    if error.error_count() > MAX_ERRORS:  # listing them would take seconds
        message = f"the body has more than {MAX_ERRORS} errors"
        return BadRequestError(message, code="invalid_value")
    problems = error.errors(include_url=False, include_input=False)
    first = min(problems, key=lambda problem: problem["type"] != "extra_forbidden")
    location: Location = first["loc"]
    path = format_path(location)
    match first["type"]:
        case "json_invalid":
            return _invalid_json_error(first["ctx"]["error"])
        case "extra_forbidden":
            message = f"unknown field {path!r}{_suggest_fix(model, location)}"
            return BadRequestError(message, param=path, code="unknown_field")
        case "missing":
            return BadRequestError(f"{path} is required", param=path, code="missing_field")
        case _:
            message = f"{path or 'the body'}: {first['msg'][:1].lower()}{first['msg'][1:]}"
            return BadRequestError(message, param=path or None, code="invalid_value")


def format_path(location: Location) -> str:
    """Return a field's path, cut if long: ``("tools", 0, "name")`` → ``tools[0].name``."""
    path = ""
    for step in location:
        path += f"[{step}]" if isinstance(step, int) else f".{step}"
    path = path.removeprefix(".")
    return path if len(path) <= MAX_PATH_CHARACTERS else f"{path[:MAX_PATH_CHARACTERS]}…"


def _suggest_fix(model: type[StrictModel], location: Location) -> str:
    """Return a hint, starting with ": ", of the field that the client may have meant; or ""."""
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
    """Yield the body's model and those of the objects directly in it, each with its location."""
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
    """Return the model in an annotation, e.g. ``Model | None`` or ``list[Model]``."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    found = (_find_model_in(argument) for argument in get_args(annotation))
    return next((model for model in found if model), None)
