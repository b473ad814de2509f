"""Compile the fused kernels for an H100, without one, and print what they use of it.

Run as a program, outside of Triton's interpreter.
"""

import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from tests.thinking.generators import EXIT_ID, STAND_IN_ID, STOP_IDS, TOKEN_BYTES
from thinking.markers.profile import MarkerProfile, Opening
from thinking.sampler.arrays import TorchArrays
from thinking.sampler.automaton import ThinkingAutomaton
from thinking.sampler.fused import greedy, step
from thinking.sampler.fused.records import Tokens
from thinking.sampler.fused.step_kernel import step_kernel
from thinking.sampler.fused.vocabulary_kernel import vocabulary_kernel
from thinking.sampler.tables import AutomatonTables
from thinking.tracker_state import TrackerTables

H100 = GPUTarget("cuda", 90, 32)
VOCAB_SIZE = 151_936
NUM_DRAFTS = 3
TYPES = {
    torch.float32: "*fp32",
    torch.int64: "*i64",
    torch.int32: "*i32",
    torch.int16: "*i16",
    torch.uint8: "*u8",
}
ZEROS = torch.zeros(2)
CUOBJDUMP = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "cuobjdump"


class Launch:
    """A kernel that takes note of its arguments in place of running."""

    def __init__(self, kernel: Any) -> None:
        self.kernel = kernel
        self.arguments: dict[str, Any] = {}

    def __getitem__(self, grid: tuple[int, ...]) -> Callable[..., None]:
        return self.arguments.update

    def compile(self) -> bytes:
        """Return the binary for an H100."""
        arguments = dict(self.arguments)
        options = {"num_warps": arguments.pop("num_warps")}
        names = [self.kernel.arg_names[place] for place in self.kernel.constexprs]
        constants = {name: arguments.pop(name) for name in names}
        signature = {name: type_of(value) for name, value in arguments.items()}
        signature |= dict.fromkeys(names, "constexpr")
        source = ASTSource(self.kernel, signature, constants)
        return bytes(triton.compile(source, target=H100, options=options).asm["cubin"])


def type_of(value: Any) -> Any:
    """Return Triton's name of an argument's type."""
    if isinstance(value, tuple):
        return type(value)(*map(type_of, value))
    return TYPES[value.dtype] if isinstance(value, torch.Tensor) else "i32"


def main() -> None:
    """Compile the kernels and print their use of registers and memory."""
    profile = MarkerProfile("any", (10,), (12,), Opening.FORCED, STOP_IDS, STAND_IN_ID, EXIT_ID)
    cpu = torch.device("cpu")
    shared = TrackerTables(profile, frozenset())
    tables = AutomatonTables(shared, VOCAB_SIZE, TorchArrays(cpu), TOKEN_BYTES)
    automaton = ThinkingAutomaton(tables, 2, cpu, step.count_kept_segments(NUM_DRAFTS))
    launches = [Launch(step_kernel), Launch(vocabulary_kernel)]
    vars(step).update(step_kernel=launches[0], vocabulary_kernel=launches[1])
    zeros = torch.zeros((2, 32), dtype=torch.int32)
    tokens = Tokens(ids=zeros, prompt_lengths=zeros[0], lengths=zeros[0])
    step.FusedStep(automaton, NUM_DRAFTS).warm_up(tokens)
    launches.append(Launch(greedy.greedy_kernel))
    vars(greedy).update(greedy_kernel=launches[-1])
    greedy.force_likeliest(torch.zeros((2, VOCAB_SIZE)), torch.zeros(2, dtype=torch.int64), ZEROS)
    for launch in launches:
        with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
            file.write(launch.compile())
            file.flush()
            command = [str(CUOBJDUMP), "-res-usage", file.name]
            sys.stdout.write(subprocess.run(command, capture_output=True, text=True).stdout)


if __name__ == "__main__":
    main()
