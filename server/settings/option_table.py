"""Our options as people read them: one row each, from the fields of ``ServerSettings``.

Written to docs/options.md by ``python -m server.settings.option_table``. Does not parse anything.
"""

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import get_origin

from pydantic.fields import FieldInfo

from server.settings.settings import ServerSettings

ENVIRONMENT_PREFIX = ServerSettings.model_config.get("env_prefix", "")
DOCS_PATH = Path("docs/options.md")
_HEAD = """\
# Options of `thinking-server`

Written by `python -m server.settings.option_table`; a test holds it current. A flag wins over its
environment variable. Every option of vLLM's engine is accepted beside these
(`thinking-server --help=engine` lists them); an option that neither knows is an error.

| flag | environment variable | default | meaning |
|---|---|---|---|
"""


@dataclass(frozen=True, slots=True)
class Option:
    """One option. `default` is text: JSON, or "" where the meaning tells it."""

    field: str
    default: str
    meaning: str
    is_switch: bool
    is_json: bool

    @property
    def flag(self) -> str:
        return "--" + self.field.replace("_", "-")

    @property
    def variable(self) -> str:
        return ENVIRONMENT_PREFIX + self.field.upper()


def options() -> Iterator[Option]:
    """Every option, in the order of the settings."""
    for name, field in ServerSettings.model_fields.items():
        yield Option(
            name,
            _default(field),
            field.description or "",
            is_switch=field.annotation is bool,
            is_json=get_origin(field.annotation) in (dict, list),
        )


def markdown() -> str:
    """The whole of docs/options.md."""
    rows = (
        f"| `{o.flag}` | `{o.variable}` | {f'`{o.default}`' if o.default else ''} | {o.meaning} |"
        for o in options()
    )
    return _HEAD + "\n".join(rows) + "\n"


def _default(field: FieldInfo) -> str:
    value = field.get_default(call_default_factory=True, validated_data={})
    if value in (None, {}, []):
        return ""
    return value if isinstance(value, str) else json.dumps(value)


if __name__ == "__main__":
    DOCS_PATH.parent.mkdir(exist_ok=True)
    DOCS_PATH.write_text(markdown())
    sys.stderr.write(f"wrote {DOCS_PATH}\n")
