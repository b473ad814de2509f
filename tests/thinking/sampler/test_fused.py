"""The fused kernels: their laws in Triton's interpreter, and that they compile for a real GPU.

Triton is not in the environment of a CPU installation, where vLLM would take it for a GPU's; it
is in a folder of its own (``deploy/triton.sh``). So each test here starts Python once more.
"""

import os
import subprocess
import sys
from importlib.util import find_spec

import pytest
from hypothesis import settings

from tests.examples import LONG, NUM_EXAMPLES, QUICK
from tests.house.sources import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.hypothesis]

FOLDER = ROOT / ".cache" / "triton"
IS_LONG = settings().max_examples == NUM_EXAMPLES[LONG]
LAWS = "tests/thinking/sampler/fused"
ADAPTER = "tests/thinking/vllm_plugin/fused"
if find_spec("triton") is None and not (FOLDER / ".installed").exists():
    pytestmark.append(pytest.mark.skip(reason="Triton is not here (deploy/triton.sh)"))


def run_python(*arguments: str, interprets: bool) -> str:
    """Run Python with Triton on its path; return what it prints, or fail with it."""
    environment = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{FOLDER}", "OMP_NUM_THREADS": "1"}
    environment |= {"TRITON_INTERPRET": "1"} if interprets else {}
    ours = ("PYTEST_XDIST_WORKER", "PYTEST_ADDOPTS", "PYTEST_CURRENT_TEST")
    environment = {name: value for name, value in environment.items() if name not in ours}
    command = [sys.executable, *arguments]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.mark.timeout(3600 if IS_LONG else 1800)
@pytest.mark.parametrize("folder", [LAWS, ADAPTER])
def test_the_kernels_keep_the_laws(folder: str) -> None:
    profile = LONG if IS_LONG else QUICK
    run_python("-m", "pytest", "-q", "--hypothesis-profile", profile, folder, interprets=True)


def test_the_kernels_compile_for_a_gpu_within_its_registers() -> None:
    """For an H100 (sm_90), without one. Spilled registers would be reads of slow memory."""
    usage = run_python("-m", "tests.thinking.sampler.fused.compilation", interprets=False)
    assert usage.count("STACK:0 ") == usage.count("LOCAL:0 ") == 3, usage
