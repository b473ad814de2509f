"""The coding agents that are run against the server, and what each is held to.

docs/clients.md shows this table. The tests run every agent that is listed here, and no version but
the locked one: a green run makes the page true.
"""

import json
import shutil
from dataclasses import dataclass

from tests.sdk.catalogue import ENVIRONMENTS, ROOT

LOCKED = ROOT / "tests" / "sdk" / "agents"


@dataclass(frozen=True, slots=True)
class Agent:
    """A coding agent.

    Attributes:
        name: Of its launch and its task.
        title: As its users call it.
        package: As npm calls it.
        endpoint: Of its requests for replies.
        budget: How a budget is set, in Markdown.
        source: The field of a request by which the budget arrives.
        ignored: The fields that it sends and that are not used, indices left out.
    """

    name: str
    title: str
    package: str
    endpoint: str
    budget: str
    source: str
    ignored: tuple[str, ...]

    def missing(self) -> str | None:
        """Return why it cannot be run here, or None."""
        if shutil.which("node") is None:
            return "there is no node on this machine"
        is_installed = (ENVIRONMENTS / "agents" / ".installed").exists()
        return None if is_installed else f"{self.package} is not installed: run `make test-clients`"

    def locked_version(self) -> str:
        """Return the version that package-lock.json pins."""
        lock = json.loads((LOCKED / "package-lock.json").read_text(encoding="utf-8"))
        return str(lock["packages"][f"node_modules/{self.package}"]["version"])


AGENTS = (
    Agent(
        "codex",
        "Codex CLI",
        "@openai/codex",
        "/v1/responses",
        '`model_reasoning_effort = "low"`',
        "reasoning.effort",
        ("tools[]", "tools[].format"),
    ),
    Agent(
        "claude_code",
        "Claude Code",
        "@anthropic-ai/claude-code",
        "/v1/messages",
        "its effort ([how](messages.md#claude-code))",
        "output_config.effort",
        (),
    ),
    Agent(
        "opencode",
        "OpenCode",
        "opencode-linux-x64",
        "/v1/chat/completions",
        '`"options": {"max_thinking_tokens": 1024}` of the model',
        "max_thinking_tokens",
        (),
    ),
    Agent(
        "qwen_code",
        "Qwen Code",
        "@qwen-code/qwen-code",
        "/v1/chat/completions",
        '`"generationConfig": {"extra_body": {"max_thinking_tokens": 1024}}` of the model',
        "max_thinking_tokens",
        (),
    ),
)
