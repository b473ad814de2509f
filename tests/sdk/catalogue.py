"""The clients of others that are run against the server, and what each is held to.

docs/clients.md shows this table. The tests run every feature that is listed here, and no
version but the locked one: a green run makes the page true.
"""

import json
import re
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENTS = ROOT / ".cache" / "clients"
REQUIREMENTS = ROOT / "tests" / "sdk" / "requirements"
NODE = ROOT / "tests" / "sdk" / "node"

CALLS = ("plain", "streamed", "budget", "tools", "structured")


@dataclass(frozen=True, slots=True)
class Client:
    """One client, with one driver.

    Attributes:
        package: As its registry calls it.
        environment: Of ``deploy/client-env.sh``; None: the one that the tests run in.
        features: What it can do at all: of `CALLS`, and calls to further endpoints.
        budget: How a budget is spelt with it, in Markdown.
        quirks: What else a user must know.
        protocol: What its `CALLS` are calls to.
    """

    driver: str
    package: str
    environment: str | None
    features: tuple[str, ...]
    budget: str
    quirks: str
    protocol: str = "chat"

    @property
    def is_for_node(self) -> bool:
        return self.environment == "node"

    @property
    def python(self) -> Path:
        if self.environment is None:
            return Path(sys.executable)
        return ENVIRONMENTS / self.environment / "bin" / "python"

    def missing(self) -> str | None:
        """Why it cannot be run here, or None."""
        if self.is_for_node and shutil.which("node") is None:
            return "there is no node on this machine"
        installed = (
            self.environment is None or (ENVIRONMENTS / self.environment / ".installed").exists()
        )
        return None if installed else f"{self.package} is not installed: run `make test-clients`"

    def locked_version(self) -> str:
        """What `make lock`, or package-lock.json, holds it to."""
        if self.is_for_node:
            lock = json.loads((NODE / "package-lock.json").read_text(encoding="utf-8"))
            return str(lock["packages"][f"node_modules/{self.package}"]["version"])
        path = ROOT / "deploy" / "requirements" / "dev.txt"
        if self.environment is not None:
            path = REQUIREMENTS / f"{self.environment}.txt"
        name = re.escape(self.package.partition("[")[0])
        versions = re.findall(rf"^{name}==(\S+)", path.read_text(encoding="utf-8"), re.MULTILINE)
        (version,) = versions
        return str(version)


CLIENTS = (
    Client(
        "openai_python",
        "openai",
        None,
        (*CALLS, "responses", "thoughts", "completions"),
        '`extra_body={"max_thinking_tokens": 64}` or `reasoning_effort="low"`',
        'The receipt is `choice.model_extra["thinking"]`. `get_final_response()` of a '
        "Responses stream raises if the response is incomplete; the last event contains it.",
    ),
    Client(
        "openai_node",
        "openai",
        "node",
        (*CALLS, "responses", "thoughts", "progress", "background", "socket"),
        "`...{ max_thinking_tokens: 64 }`, spread into the body, or `reasoning_effort`",
        "The types reject it as a plain field. Requires node 22 or newer; runs on 20.",
    ),
    Client(
        "anthropic_python",
        "anthropic",
        None,
        CALLS,
        '`thinking={"type": "enabled", "budget_tokens": 64}`',
        "All calls use Messages. Base URL without `/v1`; budgets under 1024 are accepted. "
        "The SDK no longer has `temperature` and similar fields: use `extra_body`.",
        protocol="messages",
    ),
    Client(
        "anthropic_node",
        "@anthropic-ai/sdk",
        "node",
        (*CALLS, "progress"),
        '`thinking: { type: "enabled", budget_tokens: 64 }`',
        "As in Python.",
        protocol="messages",
    ),
    Client(
        "langchain",
        "langchain-openai",
        "langchain",
        (*CALLS, "agent", "responses"),
        '`ChatOpenAI(extra_body={"max_thinking_tokens": 64})` or `reasoning_effort`',
        "On Chat it drops unknown fields: no receipt and no visible thought. With "
        "`use_responses_api=True` it keeps reasoning items and sends them back.",
    ),
    Client(
        "openai_agents",
        "openai-agents",
        "openai-agents",
        (*CALLS, "agent", "responses"),
        '`ModelSettings(extra_body={"max_thinking_tokens": 64})`',
        "`OpenAIChatCompletionsModel` or `OpenAIResponsesModel` with a client for the base URL; "
        "`set_tracing_disabled(True)`, as traces go to OpenAI.",
    ),
    Client(
        "ai_sdk",
        "ai",
        "node",
        (*CALLS, "agent", "responses", "messages"),
        "`providerOptions: { local: { max_thinking_tokens: 64 } }`",
        'With `createOpenAICompatible({ name: "local", … })`. `@ai-sdk/openai` sends an effort, '
        'no count; `@ai-sdk/anthropic` has `thinking: { type: "enabled", budgetTokens: 64 }`, '
        "and a base URL with `/v1`.",
    ),
    Client(
        "litellm",
        "litellm",
        "litellm",
        (*CALLS, "responses", "messages", "completions", "history", "overflow"),
        "`completion(…, max_thinking_tokens=64)`",
        "Model `openai/NAME` with `/v1`, `anthropic/NAME` without. For the latter set "
        '`allowed_openai_params=["thinking"]`.',
    ),
    Client(
        "pydantic_ai",
        "pydantic-ai-slim[openai]",
        "pydantic-ai",
        (*CALLS, "responses"),
        '`model_settings={"extra_body": {"max_thinking_tokens": 64}}`',
        'Usage is in `result.usage.details["reasoning_tokens"]`. On Responses sealed thoughts '
        'are sent back only with `profile={"openai_supports_encrypted_reasoning_content": True}`.',
    ),
    Client(
        "instructor",
        "instructor",
        "instructor",
        CALLS,
        '`create(…, extra_body={"max_thinking_tokens": 64})`',
        "Usage is available only through `create_with_completion`.",
    ),
    Client(
        "lm_eval",
        "lm-eval[api]",
        "lm-eval",
        ("plain", "budget"),
        "`--gen_kwargs max_thinking_tokens=64`",
        "`local-chat-completions` with `tokenizer_backend=None` and `--apply_chat_template`; "
        "never streams.",
    ),
    Client(
        "llm",
        "llm",
        "llm",
        ("plain", "streamed", "budget", "structured", "responses"),
        "`-o reasoning_effort minimal`",
        "In `extra-openai-models.yaml` with `reasoning: true`, or `llm openai endpoint URL`. "
        "It has no field for a count, and cannot force a tool call.",
    ),
)
