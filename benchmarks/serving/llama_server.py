"""llama.cpp's own HTTP server as a process of its own.

    python benchmarks/serving/llama_server.py --model FILE.gguf --port PORT --slots N

Runs in the environment that has `xllamacpp`, and so imports nothing of this project.
"""

import argparse
import os
import signal
from pathlib import Path

import xllamacpp

CONTEXT = 1024  # tokens a slot, as the other servers have


def main() -> None:
    """Serve until the process is told to end."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--slots", type=int, required=True)
    arguments = parser.parse_args()
    ended = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, ended)  # before the server's threads begin
    params = xllamacpp.CommonParams()
    params.model.path = arguments.model
    params.hostnames = ["127.0.0.1"]
    params.port = arguments.port
    params.n_parallel = arguments.slots
    params.n_ctx = CONTEXT * arguments.slots
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = len(os.sched_getaffinity(0))
    params.n_threads_http = arguments.slots + 2  # one holds each stream
    # Its repacked weights use AMX where the processor claims it; some virtual machines do so
    # and lose the state of the tiles.
    params.no_extra_bufts = "amx_tile" in Path("/proc/cpuinfo").read_text()
    server = xllamacpp.Server(params)  # noqa: F841  (serves as long as it lives)
    signal.sigwait(ended)


if __name__ == "__main__":
    main()
