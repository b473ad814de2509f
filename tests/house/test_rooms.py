"""Who may import whom: the table of rooms in CONTRIBUTING.md, walked with `ast`."""

from fnmatch import fnmatch

import pytest

from tests.house.sources import ROOMS, ROOT, imported_modules, imports_of, python_files, top_level

# Room -> the other rooms it may import.
MAY_IMPORT: dict[str, set[str]] = {
    "thinking": set(),
    "server": {"thinking"},
    "clients": set(),
    # The server too: its CPU settings are one of the things that are compared.
    "benchmarks": {"thinking", "server"},
    "tests": set(ROOMS),
}

# The only files of the product that may import a heavy library. vLLM's interfaces change
# from version to version: what an upgrade can break is in these few files.
ALLOWED: dict[str, list[str]] = {
    "vllm": [
        "thinking/vllm_plugin/*.py",
        "server/cli.py",
        "server/engine/cpu.py",
        "server/engine/crash_masks.py",
        "server/engine/tool_parsing.py",
        "server/engine/vllm_engine.py",
        "server/engine/vllm_images.py",
        "server/engine/vllm_load.py",
        "server/engine/vllm_messages.py",
        "server/engine/vllm_options.py",
    ],
    "xgrammar": ["server/engine/grammar_check.py", "server/engine/grammar_trial.py"],
    "torch": [
        "thinking/sampler/arrays.py",
        "thinking/sampler/automaton.py",
        "thinking/sampler/constraints.py",
        "thinking/sampler/gating.py",
        "thinking/sampler/kept_logits.py",
        "thinking/sampler*.py",
        "thinker/*.py",
        "thinking/vllm_plugin/*.py",
        "server/engine/*.py",
        "server/hub/model_resolution.py",
        "server/hub/gguf_conversion.py",
    ],
}
PRODUCT = ("thinking", "server", "clients")


def test_every_room_has_a_rule() -> None:
    rooms = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert rooms == set(MAY_IMPORT)


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_the_rooms_it_may(room: str) -> None:
    forbidden = set(ROOMS) - MAY_IMPORT[room] - {room}
    edges = {
        f"{path.relative_to(ROOT)} -> {other}"
        for path in python_files(room)
        for other in top_level(imports_of(path)) & forbidden
    }
    assert not edges


@pytest.mark.parametrize("library", ALLOWED)
def test_a_heavy_library_is_imported_in_few_named_files_only(library: str) -> None:
    importers = {
        str(path.relative_to(ROOT))
        for room in PRODUCT
        for path in python_files(room)
        if library in top_level(imports_of(path))
    }
    strangers = {
        path for path in importers if not any(fnmatch(path, good) for good in ALLOWED[library])
    }
    assert not strangers


def test_clients_speak_http_only() -> None:
    engines = {"vllm", "torch", "transformers"}
    assert not {path for path in python_files("clients") if top_level(imports_of(path)) & engines}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import vllm.config", {"vllm"}),
        ("def late():\n    from vllm import LLM", {"vllm"}),
        ("from server.engine import protocol", {"server"}),
        ("from . import protocol", {"server"}),
        ("from ..openai import chat", {"server"}),
        ("import numpy as thinking", {"numpy"}),
    ],
)
def test_the_walk_sees_every_kind_of_import(source: str, expected: set[str]) -> None:
    assert top_level(set(imported_modules(source, "server.engine"))) == expected
