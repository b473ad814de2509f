"""CPU settings: explicit options take precedence, and bfloat16 is used only if a probe passed."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from vllm.utils.import_utils import resolve_obj_by_qualname
from vllm.v1.executor import Executor

from server.engine import cpu, cpu_probe
from server.engine.cpu import choose_cpu_settings
from server.engine.cpu_probe import Bfloat16, probe_bfloat16
from server.engine.process_hooks import AMX_OFF, AMX_VARIABLE

VARIABLES = (
    *("VLLM_CPU_KVCACHE_SPACE", AMX_VARIABLE, "ONEDNN_MAX_CPU_ISA"),
    *(cpu.BINDING, cpu.RESERVED),
)


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def support(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    answer: Bfloat16 = request.param
    monkeypatch.setattr(cpu, "probe_bfloat16", lambda: answer)
    monkeypatch.setattr(cpu, "read_cpu_flags", lambda: frozenset({"avx512_bf16"}))


@pytest.mark.skipif("avx512_bf16" not in cpu_probe.read_cpu_flags(), reason="needs avx512_bf16")
def test_a_real_child_process_computes_in_bfloat16() -> None:
    assert cpu_probe.run_child(amx=False)


def test_a_child_that_dies_of_sigill_does_not_count_as_working(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    script = tmp_path / "python"
    script.write_text("#!/bin/sh\nkill -ILL $$\n")
    script.chmod(0o755)
    assert subprocess.run([script], check=False).returncode == -signal.SIGILL
    monkeypatch.setattr(sys, "executable", str(script))
    assert not cpu_probe.run_child(amx=True)


@pytest.mark.parametrize(
    ("flags", "works_with_amx", "works_without", "expected"),
    [
        ({"avx512f"}, True, True, Bfloat16.NONE),
        ({"avx512_bf16"}, True, True, Bfloat16.WITHOUT_AMX),
        ({"avx512_bf16", "amx_tile"}, True, True, Bfloat16.WITH_AMX),
        ({"avx512_bf16", "amx_tile"}, False, True, Bfloat16.WITHOUT_AMX),
        ({"avx512_bf16", "amx_tile"}, False, False, Bfloat16.NONE),
    ],
)
def test_the_answer_is_found_once_and_cached(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    flags: set[str],
    works_with_amx: bool,
    works_without: bool,
    expected: Bfloat16,
) -> None:
    tried: list[bool] = []

    def run_child(*, amx: bool) -> bool:
        tried.append(amx)
        return works_with_amx if amx else works_without

    monkeypatch.setattr(cpu_probe, "read_cpu_flags", lambda: frozenset(flags))
    monkeypatch.setattr(cpu_probe, "run_child", run_child)
    assert probe_bfloat16(tmp_path) is expected
    num_tried = len(tried)
    assert probe_bfloat16(tmp_path) is expected
    assert len(tried) == num_tried


def test_a_broken_cache_is_tried_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(cpu_probe, "read_cpu_flags", lambda: frozenset({"avx512_bf16"}))
    monkeypatch.setattr(cpu_probe, "run_child", lambda *, amx: True)
    for content in ("{", "[]", '{"x": 3}', json.dumps({cpu_probe.get_machine_key(): "maybe"})):
        (tmp_path / "cpu_probe.json").write_text(content)
        assert probe_bfloat16(tmp_path) is Bfloat16.WITHOUT_AMX


@pytest.mark.parametrize("support", [Bfloat16.WITHOUT_AMX], indirect=True)
@pytest.mark.usefixtures("support")
def test_broken_amx_is_switched_off_for_every_process() -> None:
    settings = choose_cpu_settings({})
    assert settings.options["dtype"] == "bfloat16"
    assert settings.environment[AMX_VARIABLE] == AMX_OFF
    assert settings.environment["ONEDNN_MAX_CPU_ISA"] == "AVX512_CORE_BF16"


@pytest.mark.parametrize("support", [Bfloat16.WITHOUT_AMX], indirect=True)
@pytest.mark.usefixtures("support")
def test_amx_that_cannot_be_switched_off_means_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpu, "read_cpu_flags", lambda: frozenset({"avx512_bf16", "amx_tile"}))
    monkeypatch.setenv("VLLM_PLUGINS", "anothers")
    assert choose_cpu_settings({}).options["dtype"] == "float32"


@pytest.mark.parametrize("support", [Bfloat16.NONE], indirect=True)
@pytest.mark.usefixtures("support")
def test_without_bfloat16_it_is_float32() -> None:
    assert choose_cpu_settings({}).options["dtype"] == "float32"
    assert AMX_VARIABLE not in choose_cpu_settings({}).environment


@pytest.mark.parametrize("support", [Bfloat16.WITH_AMX], indirect=True)
@pytest.mark.usefixtures("support")
def test_working_amx_is_left_on_unless_the_operator_says_off(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert AMX_VARIABLE not in choose_cpu_settings({}).environment
    monkeypatch.setenv(AMX_VARIABLE, AMX_OFF)
    assert "ONEDNN_MAX_CPU_ISA" in choose_cpu_settings({}).environment


@pytest.mark.parametrize("support", [Bfloat16.WITHOUT_AMX], indirect=True)
@pytest.mark.usefixtures("support")
def test_what_the_operator_set_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    assert choose_cpu_settings({"dtype": "float32"}).options["dtype"] == "float32"
    monkeypatch.setenv("VLLM_CPU_KVCACHE_SPACE", "2")
    assert "kv_cache_memory_bytes" not in choose_cpu_settings({}).options
    environ = {"VLLM_CPU_NUM_OF_RESERVED_CPU": "3"}
    choose_cpu_settings({}).apply_environment(environ)
    assert environ["VLLM_CPU_NUM_OF_RESERVED_CPU"] == "3"


def make_model(folder: Path, num_bytes: int) -> dict[str, str]:
    with (folder / "model.safetensors").open("wb") as file:
        file.truncate(num_bytes)
    return {"dtype": "float32", "model": str(folder)}


def test_a_small_model_has_one_thread_that_is_not_bound(tmp_path: Path) -> None:
    given = make_model(tmp_path, cpu.SMALL_MODEL_BYTES - 1)
    environment = choose_cpu_settings(given).environment
    assert environment["OMP_NUM_THREADS"] == "1"
    assert environment[cpu.BINDING] == "nobind"
    assert cpu.RESERVED not in environment


@pytest.mark.parametrize("variable", [cpu.BINDING, cpu.RESERVED])
def test_the_operators_choice_of_cores_holds_for_a_small_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, "0")
    given = make_model(tmp_path, cpu.SMALL_MODEL_BYTES - 1)
    assert "OMP_NUM_THREADS" not in choose_cpu_settings(given).environment


def test_other_models_have_all_cores_of_a_small_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cpu, "count_cores", lambda: 2)
    large = make_model(tmp_path, cpu.SMALL_MODEL_BYTES)
    for given in (large, {"dtype": "float32", "model": "organisation/model"}, {}):
        environment = choose_cpu_settings({"dtype": "float32", **given}).environment
        assert environment[cpu.RESERVED] == "0"
        assert environment["OMP_NUM_THREADS"] == str(cpu.count_physical_cores())


@pytest.mark.parametrize(
    ("given", "environ", "num_cores", "is_one"),
    [
        ({}, {}, 2, True),
        ({}, {cpu.BINDING: "nobind"}, 2, True),
        ({}, {cpu.BINDING: "0-1"}, 2, False),
        ({}, {cpu.RESERVED: "1"}, 2, False),
        ({}, {}, 16, False),
        ({"tensor_parallel_size": 2}, {}, 2, False),
        ({cpu.EXECUTOR: "mp"}, {}, 2, False),
    ],
)
def test_scheduler_and_worker_share_a_process_where_no_threads_are_bound(
    monkeypatch: pytest.MonkeyPatch,
    given: dict[str, str | int],
    environ: dict[str, str],
    num_cores: int,
    is_one: bool,
) -> None:
    monkeypatch.setattr(cpu, "count_cores", lambda: num_cores)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    settings = choose_cpu_settings({"dtype": "float32", **given})
    assert (settings.options.get(cpu.EXECUTOR) == cpu.ONE_PROCESS) is is_one
    assert (settings.environment.get("OMP_NUM_THREADS") is not None) is is_one


def test_the_shared_process_has_vllms_executor() -> None:
    assert issubclass(resolve_obj_by_qualname(cpu.ONE_PROCESS), Executor)


def test_threads_of_one_core_are_counted_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(cpu, "TOPOLOGY", tmp_path)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 1, 2, 3})
    assert cpu.count_physical_cores() == 4
    for number, siblings in enumerate(("0,2", "1,3", "0,2", "1,3")):
        folder = tmp_path / f"cpu{number}" / "topology"
        folder.mkdir(parents=True)
        (folder / "thread_siblings_list").write_text(siblings)
    assert cpu.count_physical_cores() == 2


def test_the_kv_cache_is_bounded_by_free_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpu, "measure_free_memory", lambda: 2 * cpu.GIB)
    assert (
        choose_cpu_settings({"dtype": "float32"}).options["kv_cache_memory_bytes"] == cpu.GIB // 2
    )
    monkeypatch.setattr(cpu, "measure_free_memory", lambda: 500 * cpu.GIB)
    assert choose_cpu_settings({"dtype": "float32"}).options["kv_cache_memory_bytes"] == 4 * cpu.GIB


def test_free_memory_is_some_of_the_machines() -> None:
    assert 0 < cpu.measure_free_memory() < os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
