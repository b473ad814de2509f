"""Why an engine did not start. Knows no engine; importing it costs nothing."""

from server.engine.protocol import EngineError


class EngineStartError(EngineError):
    """The engine could not be started; the message says why."""


class EngineConfigError(EngineStartError):
    """What the operator asked for cannot be served; no engine was started."""
