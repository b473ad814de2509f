"""Compiled steps: only where there is a compiler; loaded again; never from another CPU."""

import os
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from server.engine import cpu
from server.engine.cpu import choose_cpu_settings
from server.engine.vllm_compiled_steps import can_compile, describe_target, let_compiled_steps_load
from server.engine.vllm_options import TARGET_KEY, make_config


@pytest.mark.parametrize("compiler", ["/nowhere/c++", "false", "true"])
def test_without_a_compiler_nothing_is_compiled(
    monkeypatch: pytest.MonkeyPatch, compiler: str
) -> None:
    monkeypatch.setenv("CXX", compiler)
    assert can_compile() is (compiler == "true")


def test_what_could_not_be_kept_is_not_compiled(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CXX", "true")
    monkeypatch.setenv("VLLM_CACHE_ROOT", str(tmp_path / "a" / "folder" / "to" / "make"))
    assert can_compile()
    monkeypatch.setattr(os, "access", lambda path, mode: path != tmp_path)
    assert not can_compile()


@pytest.mark.parametrize(
    ("options", "compiles", "is_eager"),
    [({}, True, False), ({}, False, True), ({"enforce_eager": True}, True, None)],
)
def test_steps_are_compiled_where_they_can_be_and_may_be(
    monkeypatch: pytest.MonkeyPatch, options: Mapping[str, Any], compiles: bool, is_eager: bool
) -> None:
    monkeypatch.setattr(cpu, "can_compile", lambda: compiles)
    given = {"model": "a model", "dtype": "float32", **options}
    assert choose_cpu_settings(given).options.get("enforce_eager") is is_eager


def test_the_key_of_what_is_compiled_has_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    options = {"model": "thinker/weights", "dtype": "float32", "kv_cache_memory_bytes": 2**26}
    assert TARGET_KEY not in make_config({**options, "enforce_eager": True}).additional_config
    config = make_config({**options, "enforce_eager": False})
    assert config.additional_config[TARGET_KEY] == describe_target()
    key = config.compute_hash()
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    assert make_config({**options, "enforce_eager": False}).compute_hash() != key


def test_what_vllm_loads_for_a_cpu_can_be_finished(monkeypatch: pytest.MonkeyPatch) -> None:
    def compiled() -> str:
        return "step"

    def load(*arguments: object, **options: object) -> Any:
        return SimpleNamespace(_artifacts=SimpleNamespace(compiled_fn=compiled))

    monkeypatch.setattr(torch.compiler, "load_compiled_function", load)
    for _ in range(2):
        let_compiled_steps_load()
    load_function: Any = torch.compiler.load_compiled_function
    loaded = load_function("file")
    loaded._artifacts.compiled_fn.finalize_loading("configuration")
    assert loaded._artifacts.compiled_fn() == "step"
