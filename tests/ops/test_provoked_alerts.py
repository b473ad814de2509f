"""Alerts fire when provoked and reach a webhook.

Real Prometheus, real Alertmanager, our rules over seconds; the server is our app on the scripted
engine.
"""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn

from server.app import create_app
from server.engine.scripted import ScriptedEngine
from tests.ops import programs
from tests.ops.monitoring import alertmanager, prometheus, quick_rules, until, webhook
from tests.ops.observed import RULES
from tests.server.conftest import MODEL, PROFILES, TOKENIZER, chat_body, make_services, wants

# Long enough: the test requests short thoughts only.
ENDLESS = "z" * 2000


class LiveApp:
    """Our app on a real port, in its own thread."""

    def __init__(self) -> None:
        self.port = programs.free_port()
        services = make_services()
        profile = PROFILES["special markers"]
        self.engine = ScriptedEngine(wants(ENDLESS), TOKENIZER, profile, model_name=MODEL)
        services.set_engine(self.engine)
        config = uvicorn.Config(
            create_app(services), host="127.0.0.1", port=self.port, log_level="warning"
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, daemon=True)
        self._thread.start()

    def chat(self, max_thinking_tokens: int) -> int:
        """Send a short chat request and return its status."""
        url = f"http://127.0.0.1:{self.port}/v1/chat/completions"
        body = chat_body(
            max_thinking_tokens=max_thinking_tokens,
            max_completion_tokens=max_thinking_tokens + 5,
            thinking_options={"loop_guard": False},
        )
        return httpx.post(url, json=body, timeout=60).status_code

    def stop(self) -> None:
        """Stop the server."""
        self._server.should_exit = True
        self._thread.join(10)


@pytest.fixture
def live_app() -> Iterator[LiveApp]:
    app = LiveApp()
    until(lambda: programs.listens(app.port), "the app listens")
    yield app
    app.stop()


def test_provoked_alerts_fire_and_are_delivered(live_app: LiveApp, tmp_path: Path) -> None:
    rules = quick_rules(RULES.read_text(), tmp_path)
    target = f"127.0.0.1:{live_app.port}"
    with (
        webhook() as (url, bodies),
        alertmanager(tmp_path, url) as port,
        prometheus(tmp_path, target, rules=rules, alertmanager=port) as prom,
    ):
        until(lambda: prom.query("thinking_engine_up == 1"), "scraped")
        until(lambda: not prom.firing(), "all is quiet")  # absent until the first scrape

        def exhausts_budgets() -> bool:
            assert live_app.chat(16) == 200
            return "ThinkingBudgetExhaustion" in prom.firing()

        until(exhausts_budgets, "small budgets run out")
        assert "ThinkingEngineDown" not in prom.firing()

        live_app.engine.kill()
        until(lambda: "ThinkingEngineDown" in prom.firing(), "the engine is down")

        def fails() -> bool:
            assert live_app.chat(16) == 503
            return "ThinkingErrorRate" in prom.firing()

        until(fails, "requests fail")
        live_app.stop()
        until(lambda: "ThinkingServerDown" in prom.firing(), "the server is down")

        def delivered() -> dict[str, dict[str, Any]]:
            sent = [alert for body in list(bodies) for alert in body["alerts"]]
            return {
                alert["labels"]["alertname"]: alert
                for alert in sent
                if alert["status"] == "firing" and alert["labels"].get("instance", target) == target
            }

        expected = {"ThinkingBudgetExhaustion", "ThinkingEngineDown", "ThinkingServerDown"}
        until(lambda: expected <= set(delivered()), "all are delivered")
        down = [alert for body in bodies for alert in body["alerts"] if target in str(alert)]
        runbooks = {alert["annotations"]["runbook"].partition("#")[2] for alert in down}
        assert {"thinkingenginedown", "thinkingserverdown"} <= runbooks
        alert = delivered()["ThinkingBudgetExhaustion"]
        assert alert["labels"]["severity"] == "warning"
        assert "% of the thoughts of thinking-server" in alert["annotations"]["description"]
