"""Completion in real shells: what is printed is loaded, and Tab asked for the rest."""

import os
import shutil
import sys
from pathlib import Path

import pytest

from tests.clients.pseudo_terminal import TAB, started_in_terminal

SHELLS = {
    "bash": (
        ["bash", "--norc", "--noprofile", "-i"],
        "source <({program} --print-completion bash)",
    ),
    "zsh": (
        ["zsh", "-f", "-i"],
        'autoload -U compinit && compinit -u -D && eval "$({program} --print-completion zsh)"',
    ),
    "fish": (["fish", "--no-config", "-i"], "{program} --print-completion fish | source"),
}
# What is typed, and what it becomes where there is one way to go on.
TYPED = {
    "thinking": [("thinking ch", "thinking chat"), ("thinking chat --bud", "--budget")],
    "thinking-server": [("thinking-server --quota-f", "thinking-server --quota-fallback")],
}


@pytest.mark.parametrize("program", TYPED)
@pytest.mark.parametrize("shell", SHELLS)
def test_a_shell_completes_our_options(shell: str, program: str, tmp_path: Path) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    command, load = SHELLS[shell]
    programs = Path(sys.executable).parent
    environment = {
        "PATH": f"{programs}:{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "TERM": "xterm-256color",
        "LC_ALL": "C.UTF-8",
        "PS1": "$ ",
    }
    with started_in_terminal(command, environment, columns=120) as terminal:
        terminal.type(f"{load.format(program=program)}; echo load''ed")
        terminal.wait_for("loaded")
        for typed, completed in TYPED[program]:
            terminal.type(typed, end=TAB)
            terminal.wait_for(completed)
            terminal.type("\x15", end="")  # Ctrl-U: an empty line


@pytest.mark.parametrize("shell", SHELLS)
def test_completion_knows_every_command(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    from clients.cli import main

    with pytest.raises(SystemExit) as ended:
        main(["--print-completion", shell])
    assert ended.value.code == 0
    script = capsys.readouterr().out
    assert all(name in script for name in ("chat", "eval", "compare", "map", "verify", "export"))
