"""How each coding agent is started without a person: its command, its variables, its settings.

Each is pointed at a server on this machine in the way that its own documentation tells its users,
with nothing of the environment of whoever runs the tests. Does not know what an agent is asked.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.sdk.catalogue import ENVIRONMENTS

INSTALLED = ENVIRONMENTS / "agents" / "node_modules"
# Of two of them the name that npm gives is a script in whose place an install script, which is not
# run, would have put the program.
PROGRAMS = {
    "codex": ".bin/codex",
    "claude_code": "@anthropic-ai/claude-code-linux-x64/claude",
    "opencode": "opencode-linux-x64/bin/opencode",
    "qwen_code": ".bin/qwen",
}
SECONDS = 500  # a busy machine is no failure
# A closed port: an agent that wants anything from another machine is refused at once.
NOWHERE = "http://127.0.0.1:9"
ONLY_LOOPBACK = {
    **dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), NOWHERE),
    **dict.fromkeys(("NO_PROXY", "no_proxy"), "127.0.0.1,localhost"),
}


@dataclass(frozen=True, slots=True)
class Target:
    """The server and the model that an agent is to use, with `budget` hidden tokens a reply."""

    base_url: str
    model: str
    budget: int


@dataclass(frozen=True, slots=True)
class Launch:
    """A command, its variables, and the files of its home, by their path."""

    command: Sequence[str]
    variables: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)

    def run(self, home: Path, folder: Path) -> str:
        """Return what it prints on standard output; it must succeed.

        Args:
            home: Its home, which is created.
            folder: Where it works.
        """
        for name, text in self.files.items():
            (home / name).parent.mkdir(parents=True, exist_ok=True)
            (home / name).write_text(text, encoding="utf-8")
        (home / "tmp").mkdir(parents=True, exist_ok=True)
        own = {"HOME": str(home), "TMPDIR": str(home / "tmp"), "PATH": make_path()}
        done = subprocess.run(
            [INSTALLED / PROGRAMS[self.command[0]], *self.command[1:]],
            cwd=folder,
            env=own | ONLY_LOOPBACK | dict(self.variables),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


def make_path() -> str:
    """Return a search path with node and the system's programs only."""
    node = shutil.which("node")
    assert node is not None
    return os.pathsep.join([str(Path(node).parent), "/usr/local/bin", "/usr/bin", "/bin"])


def launch_codex(target: Target, task: str) -> Launch:
    """Return Codex' launch. It can name an effort, not a number of tokens.

    A model that its catalogue does not list would not be offered its tool for patches.
    """
    settings = f"""\
model = "{target.model}"
model_provider = "local"
model_reasoning_effort = "low"
model_catalog_json = "models.json"

[model_providers.local]
name = "thinking-server"
base_url = "{target.base_url}/v1"
wire_api = "responses"
"""
    model = {
        "slug": target.model,
        "display_name": target.model,
        "supported_reasoning_levels": [{"effort": "low", "description": "A short thought"}],
        "shell_type": "unified_exec",
        "visibility": "list",
        "supported_in_api": True,
        "priority": 1,
        "base_instructions": "You are a coding agent.",
        "supports_reasoning_summaries": True,
        "support_verbosity": False,
        "apply_patch_tool_type": "freeform",
        "truncation_policy": {"mode": "tokens", "limit": 10_000},
        "supports_parallel_tool_calls": True,
        "context_window": 131_072,
        "experimental_supported_tools": [],
    }
    options = ["--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox"]
    files = {
        ".codex/config.toml": settings,
        ".codex/models.json": json.dumps({"models": [model]}),
    }
    return Launch(["codex", "exec", *options, task], files=files)


def launch_claude_code(target: Target, task: str) -> Launch:
    """Return Claude Code's launch, with all of its models being the one that is served.

    For a model whose name it does not know, it sends an effort, whatever the budget is.
    """
    tiers = ("OPUS", "SONNET", "HAIKU")
    variables = {
        "ANTHROPIC_BASE_URL": target.base_url,
        "ANTHROPIC_AUTH_TOKEN": "none",
        "ANTHROPIC_MODEL": target.model,
        **{f"ANTHROPIC_DEFAULT_{tier}_MODEL": target.model for tier in tiers},
        "MAX_THINKING_TOKENS": str(target.budget),
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "CLAUDE_CODE_ATTRIBUTION_HEADER": "0",
    }
    return Launch(["claude_code", "-p", task, "--allowedTools", "Bash,Write"], variables)


def launch_opencode(target: Target, task: str) -> Launch:
    """Return OpenCode's launch."""
    model = {"limit": {"context": 131_072, "output": 4096}, "reasoning": True, "tool_call": True}
    settings = {
        "provider": {
            "local": {
                "npm": "@ai-sdk/openai-compatible",
                "name": "thinking-server",
                "options": {"baseURL": f"{target.base_url}/v1", "apiKey": "none"},
                "models": {
                    target.model: model | {"options": {"max_thinking_tokens": target.budget}}
                },
            }
        },
        "model": f"local/{target.model}",
        "small_model": f"local/{target.model}",
        "autoupdate": False,
        "share": "disabled",
    }
    variables = {"OPENCODE_DISABLE_MODELS_FETCH": "1", "OPENCODE_DISABLE_AUTOUPDATE": "1"}
    files = {".config/opencode/opencode.json": json.dumps(settings)}
    return Launch(["opencode", "run", task], variables, files)


def launch_qwen_code(target: Target, task: str) -> Launch:
    """Return Qwen Code's launch."""
    model = {
        "id": target.model,
        "name": "thinking-server",
        "envKey": "OPENAI_API_KEY",
        "baseUrl": f"{target.base_url}/v1",
        "generationConfig": {
            "contextWindowSize": 131_072,
            "extra_body": {"max_thinking_tokens": target.budget},
        },
    }
    settings = {
        "modelProviders": {"openai": [model]},
        "model": {"name": target.model},
        "security": {"auth": {"selectedType": "openai"}},
        "privacy": {"usageStatisticsEnabled": False},
        "general": {"enableAutoUpdate": False},
    }
    files = {".qwen/settings.json": json.dumps(settings)}
    command = ["qwen_code", "-p", task, "--approval-mode", "yolo"]
    return Launch(command, {"OPENAI_API_KEY": "none"}, files)


LAUNCHES: Mapping[str, Callable[[Target, str], Launch]] = {
    "codex": launch_codex,
    "claude_code": launch_claude_code,
    "opencode": launch_opencode,
    "qwen_code": launch_qwen_code,
}
