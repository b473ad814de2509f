"""These tests run in Triton's interpreter only: see ``tests/thinking/sampler/test_fused.py``."""

from tests.thinking.sampler.fused.interpreter import INTERPRETED, make_interpreter_fast

collect_ignore_glob = [] if INTERPRETED else ["test_*.py"]
if INTERPRETED:
    make_interpreter_fast()
    from tests.thinking.vllm_plugin.fused.vllm_kernels import use_triton

    use_triton()  # the adapter launches kernels of vLLM's
