"""Every option that a page names in its text is an option of something."""

import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from server.settings.option_table import list_options
from tests.docs.blocks import PAGES
from tests.house.sources import ROOT

_CODE = re.compile(r"`([^`\n]+)`")
_OPTION = re.compile(r"(?<![\w-])--(?:no-)?[a-z][a-z0-9_-]+")
_FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
# Where vLLM declares its options; they are named like its fields.
_VLLM = ("engine/arg_utils.py", "entrypoints/launchers/cli_args.py", "entrypoints/cli/serve.py")
# Options of other programs, and what says so in a page.
FOREIGN = {
    "--apply_chat_template": "lm-eval",
    "--build-arg": "docker",
    "--gen_kwargs": "lm-eval",
    "--gpus": "docker",
    "--migration-limit": "Dynamo",
    "--node-ip-address": "Ray",
    "--nonblocking": "py-spy",
    "--shm-size": "docker",
    "--strict": "helm lint",
    "--table": "pg_dump",
}


def options_of_sources() -> Iterator[str]:
    """Yield the options that stand in our own programs and scripts."""
    for folder in ("benchmarks", "clients", "server", "thinker", "deploy"):
        for path in (ROOT / folder).rglob("*"):
            if path.suffix in {".py", ".sh", ".yaml"}:
                yield from _OPTION.findall(path.read_text(encoding="utf-8"))


def options_of_vllm() -> Iterator[str]:
    """Yield vLLM's options, read from its source: its import takes seconds."""
    spec = importlib.util.find_spec("vllm")
    assert spec is not None
    assert spec.origin is not None
    for name in _VLLM:
        text = (Path(spec.origin).parent / name).read_text(encoding="utf-8")
        yield from _OPTION.findall(text)
        fields: list[str] = re.findall(r"^    (\w+):", text, re.MULTILINE)
        yield from (f"--{field.replace('_', '-')}" for field in fields)


@pytest.fixture(scope="module")
def known() -> set[str]:
    """All options that a page may name."""
    names = {option.flag for option in list_options()}
    names |= {*options_of_sources(), *options_of_vllm(), *FOREIGN}
    return names | {f"--no-{name.removeprefix('--')}" for name in names}


# The changelog also names options that are gone.
@pytest.mark.parametrize(
    "page", [p for p in PAGES if p.name != "CHANGELOG.md"], ids=lambda page: page.name
)
def test_an_option_that_is_named_exists(page: Path, known: set[str]) -> None:
    text = _FENCED.sub("", page.read_text(encoding="utf-8"))
    named = {option for code in _CODE.findall(text) for option in _OPTION.findall(code)}
    assert named - known == set()
