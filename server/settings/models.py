"""The models of a server: which there are, where their engines are, and the settings of each.

From ``--engine-url`` and the file of ``--models-file``. Reads no model.
"""

import tomllib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, ValidationError

from server.settings.settings import ServerSettings
from thinking.budget import Effort


class ModelsError(ValueError):
    """The models cannot be served as configured; the message names the option or the entry."""


class ModelEntry(BaseModel):
    """Settings of one model in the file, named as the server's options; None: the server's."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str | None = None
    engine_url: Annotated[list[str], Field(default_factory=list)]
    served_model_name: Annotated[list[str], Field(default_factory=list)]
    default_thinking_tokens: NonNegativeInt | None = None
    max_thinking_tokens: NonNegativeInt | None = None
    effort_tokens: dict[Effort, NonNegativeInt | None] | None = None
    thinking_start: str | None = None
    thinking_end: str | None = None
    thinking_primer: str | None = None
    thinking_lead_in: str | None = None
    tool_call_parser: str | None = None
    evaluation_file: str | None = None


@dataclass(frozen=True, slots=True)
class ConfiguredModel:
    """A model that engines elsewhere run. `settings` are the server's with the model's own."""

    urls: Sequence[str]
    settings: ServerSettings


def list_remote_models(settings: ServerSettings) -> Sequence[ConfiguredModel]:
    """Return the models whose engines are elsewhere; none: the server starts an engine itself.

    A URL without a name is one of the model of ``--model``. A name is the model's name in the API,
    and, unless the file says otherwise, its folder or hub id.

    Raises:
        ModelsError: the file cannot be read, a URL is none, or a model has none.
    """
    urls = _read_urls(settings.engine_url)
    entries = _read_file(settings.models_file) if settings.models_file is not None else {}
    if entries and not settings.engine_url and not any(e.engine_url for e in entries.values()):
        raise ModelsError("--models-file: needs engines elsewhere (engine_url, --engine-url)")
    names = dict.fromkeys((*urls, *entries))
    return [
        _configure(name, entries.get(name or ""), urls.get(name, ()), settings) for name in names
    ]


def _configure(
    name: str | None, entry: ModelEntry | None, urls: Sequence[str], settings: ServerSettings
) -> ConfiguredModel:
    if name is None:
        return ConfiguredModel(urls, settings)
    entry = entry or ModelEntry.model_validate({})
    urls = (*urls, *(_check_url(url, f"{name}: engine_url") for url in entry.engine_url))
    if not urls:
        raise ModelsError(f"{name}: has no engine; add its engine_url")
    given = entry.model_dump(exclude={"engine_url", "served_model_name"}, exclude_none=True)
    own = {"model": name, **given, "served_model_name": [name, *entry.served_model_name]}
    return ConfiguredModel(urls, settings.model_copy(update=own))


def _read_urls(words: Sequence[str]) -> Mapping[str | None, Sequence[str]]:
    """Return the URLs of each name; None: of those without a name."""
    found: defaultdict[str | None, list[str]] = defaultdict(list)
    for word in words:
        # A name comes before the scheme; what follows it may have the sign too.
        head, sign, rest = word.partition("=")
        is_named = bool(sign) and "://" not in head
        url = _check_url(rest if is_named else word, "--engine-url")
        found[head if is_named else None].append(url)
    return found


def _check_url(url: str, where: str) -> str:
    if not url.startswith(("http://", "https://")) or url.count("/") < 2:
        raise ModelsError(f"{where}: should be a URL that begins with http:// or https://")
    return url.rstrip("/")


def _read_file(path: str) -> Mapping[str, ModelEntry]:
    try:
        document: Mapping[str, Any] = tomllib.loads(Path(path).read_text())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ModelsError(f"--models-file: {path} cannot be read: {error}") from error
    entries = {}
    for name, values in document.items():
        try:
            entries[name] = ModelEntry.model_validate(values)
        except ValidationError as error:
            problem = error.errors()[0]
            field = ".".join(map(str, problem["loc"])) or "the entry"
            raise ModelsError(f"{path}: [{name}]: {field}: {problem['msg']}") from None
    return entries
