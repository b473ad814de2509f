"""What an app knows of the process around it: its model, once loaded, and its end.

Whoever starts the server sets the engine here when it is ready, and `draining` when no
new request may begin. Does not start or stop anything itself.
"""

import asyncio
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from fastapi import Request
from prometheus_client import CollectorRegistry

from server.admission.load import LoadCurve, LoadGauge
from server.admission.metrics import AdmissionMetrics
from server.admission.queue import AdmissionQueue, QueueLimits
from server.engine.protocol import Engine
from server.errors.api import UnavailableError
from server.generation.search.reward_model import RewardModel
from server.keys.key import ANONYMOUS, AccessKey
from server.keys.live import LiveKeys
from server.keys.sealed_thoughts import ThoughtSeal
from server.metrics import Metrics
from server.model.served_model import ServedModel
from server.quotas.opening import open_quotas
from server.quotas.quotas import Quotas
from server.settings.quota import Quota
from server.settings.settings import ServerSettings
from server.stored_responses.store import ResponseStore
from server.telemetry.opening import open_telemetry
from server.traces.access import TraceAccess
from server.traces.opening import open_traces
from server.traces.recorder import TraceRecorder

if TYPE_CHECKING:
    from server.telemetry.spans import RequestSpans


@dataclass(slots=True)
class ServerState:
    """``app.state.server``; `traces` is None where none are kept, `reward_model` likewise.

    `map_slots` bounds the engine requests of all maps together.

    Raises:
        TraceStoreError, TraceTokenError: traces cannot be kept as the settings ask.
        TelemetryMissingError: spans are asked for, and their library is not there.
        QuotaStorageUrlError, RedisMissingError: quotas cannot be counted as the settings ask.
        KeyFileError: the keys cannot be used.
        SealKeyError: the keys for thoughts in the environment are malformed.
    """

    settings: ServerSettings
    registry: CollectorRegistry | None = None
    draining: bool = False
    model: ServedModel | None = None
    metrics: Metrics = field(init=False)
    keys: LiveKeys = field(init=False)
    traces: TraceRecorder | None = field(init=False)
    trace_access: TraceAccess = field(init=False)
    reward_model: RewardModel | None = field(init=False)
    seal: ThoughtSeal = field(init=False)
    responses: ResponseStore[Any] = field(init=False)
    telemetry: "RequestSpans | None" = field(init=False)
    map_slots: asyncio.Semaphore = field(init=False)
    quotas: Quotas = field(init=False)
    anonymous: AccessKey = field(init=False)
    admission: AdmissionQueue = field(init=False)
    load: LoadGauge = field(init=False)

    def __post_init__(self) -> None:
        self.metrics = Metrics(self.registry, lambda: self.is_ready)
        self.keys = LiveKeys.configured(self.settings, self.metrics)
        self.trace_access = TraceAccess.from_environment(shows_thoughts=self.settings.show_thoughts)
        self.traces = open_traces(self.settings, self.metrics)
        has_scorer = self.settings.scorer_url is not None
        self.reward_model = RewardModel(self.settings) if has_scorer else None
        self.seal = ThoughtSeal.from_environment()
        self.responses = ResponseStore(
            self.settings.response_store_max_responses,
            self.settings.response_store_max_bytes,
            self.settings.response_store_hours,
        )
        self.telemetry = open_telemetry(self.settings, lambda: self.model_name)
        self.map_slots = asyncio.Semaphore(self.settings.map_concurrency)
        self.quotas = open_quotas(self.settings, self.metrics.registry)
        self.anonymous = replace(ANONYMOUS, quota=Quota(**self.settings.anonymous_quota))
        self._open_admission()

    def _open_admission(self) -> None:
        settings = self.settings
        metrics = AdmissionMetrics(self.metrics.registry)
        limits = QueueLimits(self._num_places, settings.max_queued_requests)
        self.admission = AdmissionQueue(limits, metrics)
        curve = LoadCurve(settings.load_shrink_from, settings.load_shrink_floor)
        self.load = LoadGauge(
            self.admission, lambda: self.engine.load if self.engine else None, curve
        )
        metrics.read_load_from(self.load.load, self.load.share)

    def _num_places(self) -> int:
        asked = self.settings.max_concurrent_requests
        return asked or (self.engine.max_num_seqs if self.engine else 1)

    @property
    def engine(self) -> Engine | None:
        """The engine, once there is one."""
        return self.model.engine if self.model else None

    @property
    def model_name(self) -> str | None:
        """The model's name on the wire, once there is one."""
        return self.model.engine.model_name if self.model else None

    @property
    def is_ready(self) -> bool:
        """Whether a request that came now would be answered."""
        return self.model is not None and self.model.engine.is_alive and not self.draining

    def set_engine(self, engine: Engine) -> None:
        """Begin to serve `engine`. Takes a moment: it reads the whole vocabulary."""
        self.model = ServedModel(engine, self.settings)
        self.metrics.tell_build(engine.model_name)

    async def close(self) -> None:
        """Write the traces that wait; free what the model holds besides its engine."""
        await self.quotas.close()
        if self.reward_model is not None:
            await self.reward_model.close()
        if self.traces is not None:
            await asyncio.to_thread(self.traces.close)
        if self.telemetry is not None:
            await asyncio.to_thread(self.telemetry.close)
        if self.model is not None:
            self.model.close()

    def ready_model(self) -> ServedModel:
        """The model.

        Raises:
            UnavailableError: not loaded yet, draining, or dead.
        """
        if self.model is None:
            raise UnavailableError("the model is still loading", "not_ready")
        if not self.model.engine.is_alive:
            raise UnavailableError("the engine has died", "engine_dead")
        if self.draining:
            raise UnavailableError("the server is shutting down", "draining")
        return self.model


def server_state(request: Request) -> ServerState:
    """The app's state (a FastAPI dependency)."""
    state = request.app.state.server
    assert isinstance(state, ServerState)
    return state
