"""Reads a request's body into a strictly validated model, or raises a helpful 400.

Pydantic's errors are translated here and nowhere else. The error for an unknown field suggests the
nearest valid name. Does not know which endpoint it reads for, and never quotes a value back.
"""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar, TypeVar, get_args

from fastapi import Request
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import from_json, to_json

from server.api.ignored import note_ignored
from server.api.translated_fields import translate
from server.api.unknown_fields import Location, find_parent, find_refusal
from server.dialects.claims import Claim
from server.dialects.reading import TREE, get_names_at, iterate_left, take_claims
from server.dialects.resolution import ThinkingParams, resolve_claims
from server.dialects.spellings import WRONG_NAMES
from server.errors.api import ApiError, BadRequestError
from server.state import get_services

# Field names come from the client: an error repeats at most this much of them.
MAX_PATH_CHARACTERS = 200
MAX_ERRORS = 1_000
# What one round takes away may show what was hidden behind it.
MAX_ROUNDS = 8
BodyT = TypeVar("BodyT", bound="StrictModel")


class StrictModel(BaseModel):
    """Model that allows no unknown fields and no conversions.

    ``true``, ``1.0`` and ``"1"`` are not integers.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)
    # Hints for unknown fields of this body; they take precedence over the dialects' hints.
    right_names: ClassVar[Mapping[str, str]] = MappingProxyType({})

    @property
    def requested_model(self) -> str | None:
        """Name of the model that the body asks for; None: it names none."""
        return getattr(self, "model", None)

    @property
    def thinking_claims(self) -> Sequence[Claim]:
        """Fields about how much to think that the model itself declares."""
        return ()


async def read_body(request: Request, model: type[BodyT]) -> BodyT:
    """Read and validate a JSON body.

    Raises:
        ApiError: 400 if the body is invalid, 415 if it is not declared as JSON (otherwise any web
            page could post here without a CORS preflight). 413 comes from the middleware.
    """
    return _parse(request, model, await _read_raw_body(request))


async def read_dialect_body(request: Request, model: type[BodyT]) -> tuple[BodyT, ThinkingParams]:
    """Read a body that may have thinking fields, in any dialect.

    Raises:
        ApiError: see :func:`read_body`; also 400 if two of its fields disagree.
    """
    raw = await _read_raw_body(request)
    values = _decode(raw)
    if not isinstance(values, dict):
        return _parse(request, model, raw), ThinkingParams()
    claims, rest = take_claims(values, _get_wire_names(model))
    if rest != values:
        # Validate JSON again, not objects: strict models accept a list for a tuple only in JSON.
        raw = to_json(rest)
    body = _parse(request, model, raw)
    return body, resolve_claims([*claims, *body.thinking_claims])


async def _read_raw_body(request: Request) -> bytes:
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json" and not media_type.endswith("+json"):
        raise ApiError(415, "send JSON with 'content-type: application/json'", code="not_json")
    return await request.body()


def _parse(request: Request, model: type[BodyT], raw: bytes) -> BodyT:
    """Validate `raw` without the fields that are ignored, which are noted."""
    refuses = get_services(request).settings.unknown_fields == "refuse"
    for _ in range(MAX_ROUNDS):
        try:
            return model.model_validate_json(raw)
        except ValidationError as error:
            unknown = [] if refuses else _find_unknown(error)
            if not unknown:
                raise _to_bad_request(model, error) from None
        values = _decode(raw)
        for location in unknown:
            _ignore_or_refuse(request, model, values, location)
        raw = to_json(values)
    raise BadRequestError("the body has too many unknown fields", code="unknown_field")


def _find_unknown(error: ValidationError) -> list[Location]:
    if error.error_count() > MAX_ERRORS:  # listing them would take seconds
        return []
    problems = error.errors(include_url=False, include_input=False, include_context=False)
    return [problem["loc"] for problem in problems if problem["type"] == "extra_forbidden"]


def _ignore_or_refuse(
    request: Request, model: type[StrictModel], body: dict[str, Any], location: Location
) -> None:
    """Take the unknown field at `location` out of `body`; one of another server's is translated.

    Raises:
        BadRequestError: it must not be ignored.
    """
    parent = find_parent(body, location)
    if parent is None:  # not the place in the body that the location seems to say
        raise _unknown_field_error(model, location)
    name = str(location[-1])
    if len(location) == 1 and translate(body, name, _get_wire_names(model)):
        del body[name]
        return
    if parent[name] is None:  # it asks for nothing; many clients send all their fields
        note_ignored(request, format_path(location))
        del parent[name]
        return
    node = TREE.get(name)
    places = [location]
    if len(location) == 1 and isinstance(node, dict):
        # Another server's object, whose known fields were read before.
        places = list(iterate_left(node, parent[name], location))
    for place in places:
        if _has_another_name(model, place):
            raise _unknown_field_error(model, place)
        refusal = find_refusal(place, body, _get_known_names(model, place))
        if refusal is not None:
            kind, meant = refusal
            raise (
                _foreign_sampling_error(place, meant)
                if kind == "sampling"
                else _unknown_field_error(model, place, meant)
            )
        note_ignored(request, format_path(place))
    del parent[name]


def _has_another_name(model: type[StrictModel], location: Location) -> bool:
    """Return whether the body has what this unknown field means, elsewhere or by another name."""
    path = ".".join(step for step in location if isinstance(step, str))
    options = model.model_fields.get("thinking_options")
    is_option = options is not None and any(
        location == (name,)
        for found in _find_models_in(options.annotation)
        for name in _get_wire_names(found)
    )
    return is_option or path in model.right_names


def _foreign_sampling_error(location: Location, reason: str | None) -> BadRequestError:
    return BadRequestError(str(reason), param=format_path(location), code="unsupported_sampling")


def _unknown_field_error(
    model: type[StrictModel], location: Location, meant: str | None = None
) -> BadRequestError:
    path = format_path(location)
    hint = _suggest_fix(model, location, meant)
    return BadRequestError(f"unknown field {path!r}{hint}", param=path, code="unknown_field")


def _decode(raw: bytes) -> Any:
    try:
        return from_json(raw, allow_inf_nan=False)
    except ValueError as error:
        raise _invalid_json_error(str(error)) from None


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
            return _unknown_field_error(model, location)
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


def _suggest_fix(model: type[StrictModel], location: Location, meant: str | None) -> str:
    """Return a hint, starting with ": ", of the field that the client may have meant; or "".

    `meant` is a field beside it of which it is a typing error.
    """
    path = ".".join(step for step in location if isinstance(step, str))
    name = str(location[-1])
    if advice := model.right_names.get(path) or WRONG_NAMES.get(name):
        return f": {advice}"
    parent = _find_model_at(model, location[:-1])
    if name in _get_wire_names(parent):
        return f": it belongs at {format_path(location)!r}"
    if name in TREE and len(location) > 1 and not isinstance(TREE[name], dict):
        return f": it belongs at the top level, {name!r}"
    for candidate, where in _iterate_places(model):
        if name in _get_wire_names(candidate):
            return f": it belongs at {format_path((*where, name))!r}"
    if meant is not None:
        return f": did you mean {format_path((*location[:-1], meant))!r}?"
    known = [*_get_known_names(model, location), *(TREE if len(location) == 1 else ())]
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


def _get_known_names(model: type[BaseModel], location: Location) -> list[str]:
    """Return the names that exist where the unknown field at `location` stands."""
    models = [model]
    for step in location[:-1]:
        if isinstance(step, str):
            fields = [found.model_fields[step] for found in models if step in found.model_fields]
            models = [found for field in fields for found in _find_models_in(field.annotation)]
    foreign = get_names_at(location[:-1])
    return [*foreign, *(name for found in models for name in _get_wire_names(found))]


def _find_models_in(annotation: Any) -> list[type[BaseModel]]:
    """Return all models in an annotation, e.g. both of ``list[A | B]``."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [found for inner in get_args(annotation) for found in _find_models_in(inner)]


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
