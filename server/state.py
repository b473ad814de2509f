"""The process's services, opened once, and the slot for the engine, which is loaded later.

Opens and closes services; starts no engine and serves no request. Every service gets its settings
here, so everything that a request uses is in one place.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from fastapi import Request
from prometheus_client import CollectorRegistry

from server.account.account import RequestAccount
from server.admission.load import LoadCurve, LoadGauge
from server.admission.metrics import AdmissionMetrics
from server.admission.queue import AdmissionQueue, QueueLimits
from server.api_processes.requirements import shares_counters
from server.engine.protocol import Engine, EngineLoad
from server.engine.start_errors import EngineConfigError
from server.errors.api import UnavailableError
from server.generation.search.reward_model import RewardModel
from server.keys.key import ANONYMOUS, AccessKey
from server.keys.live import LiveKeys
from server.keys.permissions import choose_model
from server.keys.sealed_thoughts import ThoughtSeal
from server.ledger.ledger import Ledger
from server.ledger.opening import open_ledger
from server.ledger.prices import PriceFileError
from server.metrics import Metrics
from server.metrics.engines import EngineMetrics
from server.model.names import DuplicateNameError, check_names
from server.model.served_model import ServedModel
from server.quotas.opening import open_quotas
from server.quotas.quotas import Quotas
from server.quotas.turns.opening import open_turn_budgets
from server.quotas.turns.turn_budgets import TurnBudgets
from server.running_replies.registry import RunningReplies
from server.settings.quota import Quota
from server.settings.settings import ServerSettings
from server.stored_responses.metrics import ResponseStoreMetrics
from server.stored_responses.opening import open_responses
from server.stored_responses.running import BackgroundTasks
from server.stored_responses.store import ResponseStore
from server.stored_thoughts.store import SealedThoughtStore
from server.telemetry.opening import open_telemetry
from server.traces.access import TraceAccess
from server.traces.opening import open_traces
from server.traces.recorder import TraceRecorder

if TYPE_CHECKING:
    from server.telemetry.spans import RequestSpans


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """An engine, and the settings of its model; None: the server's."""

    engine: Engine
    settings: ServerSettings | None = None


class EngineSlot:
    """Slot for the models and their engines, filled once they are loaded."""

    def __init__(self) -> None:
        self.models: Sequence[ServedModel] = ()
        # For those who wait for it: connections that would stay open otherwise.
        self.draining = asyncio.Event()

    @property
    def is_draining(self) -> bool:
        """True once no new request may begin."""
        return self.draining.is_set()

    @is_draining.setter
    def is_draining(self, is_draining: bool) -> None:
        if is_draining:
            self.draining.set()
        else:
            self.draining.clear()

    @property
    def model(self) -> ServedModel | None:
        """The model of requests that name none; None while it loads."""
        return self.models[0] if self.models else None

    @property
    def engine(self) -> Engine | None:
        """The engine of that model; None while it loads."""
        return self.model.engine if self.model else None

    @property
    def model_name(self) -> str | None:
        """Its name on the wire; None while it loads."""
        return self.model.engine.model_name if self.model else None

    @property
    def load(self) -> EngineLoad | None:
        """The engines' load: their requests in sum, the fullest cache; None while they load."""
        loads = [model.engine.load for model in self.models]
        if not loads:
            return None
        return EngineLoad(
            sum(load.num_running for load in loads),
            sum(load.num_waiting for load in loads),
            max(load.kv_cache_usage for load in loads),
        )

    @property
    def max_num_seqs(self) -> int:
        """Number of requests that run at a time in all engines; 1 while they load."""
        return sum(model.engine.max_num_seqs for model in self.models) or 1

    @property
    def is_ready(self) -> bool:
        """True if a request that arrives now, for one model at least, will be answered."""
        try:
            self.check_ready()
        except UnavailableError:
            return False
        return True

    def list_unready(self) -> Mapping[str, str]:
        """Return why the models that can take no request now cannot, by their names."""
        return {
            model.engine.model_name: model.engine.not_ready_reason
            for model in self.models
            if model.engine.not_ready_reason is not None
        }

    def check_ready(self) -> None:
        """Check that a request for one model at least could be answered.

        Raises:
            UnavailableError: the models are not loaded yet, the server is draining, an engine is
                dead, or no engine elsewhere is ready.
        """
        if not self.models:
            raise UnavailableError("the model is still loading", "not_ready")
        if not all(model.engine.is_alive for model in self.models):
            raise UnavailableError("the engine has died", "engine_dead")
        if self.is_draining:
            raise UnavailableError("the server is shutting down", "draining")
        unready = self.list_unready()
        if len(unready) == len(self.models):
            raise UnavailableError(next(iter(unready.values())), "no_engine_ready")

    def choose_model(self, account: RequestAccount, name: str | None) -> ServedModel:
        """Return the model that a request for `name` goes to, which the account notes.

        Whether its key may use it is not checked here.

        Raises:
            UnavailableError: see :meth:`check_ready`, of this model.
        """
        self.check_ready()
        model = choose_model(account.key, self.models, name)
        if (reason := model.engine.not_ready_reason) is not None:
            raise UnavailableError(reason, "no_engine_ready")
        account.model_name = model.engine.model_name
        return model


@dataclass(frozen=True, slots=True)
class Services:
    """Everything that outlives a request; ``app.state.services``.

    `anonymous` is the key of all callers if the server requires none. `map_slots` limits the engine
    requests of all maps together. `traces`, `ledger`, `reward_model` and `telemetry` are None if
    they are not configured.
    """

    settings: ServerSettings
    slot: EngineSlot
    metrics: Metrics
    keys: LiveKeys
    anonymous: AccessKey
    admission: AdmissionQueue
    load: LoadGauge
    quotas: Quotas
    turns: TurnBudgets
    seal: ThoughtSeal
    responses: ResponseStore
    background: BackgroundTasks
    response_metrics: ResponseStoreMetrics
    sealed_thoughts: SealedThoughtStore
    running: RunningReplies
    trace_access: TraceAccess
    traces: TraceRecorder | None
    ledger: Ledger | None
    reward_model: RewardModel | None
    telemetry: "RequestSpans | None"
    map_slots: asyncio.Semaphore

    def set_engine(self, engine: Engine) -> None:
        """Start serving `engine` alone; see :meth:`set_models`."""
        self.set_models([LoadedModel(engine)])

    def set_models(self, loaded: Sequence[LoadedModel]) -> None:
        """Start serving. Takes a moment for each, because it reads the whole vocabulary.

        Raises:
            EngineConfigError: a model has no prices, or two have the same name.
        """
        if self.ledger is not None:
            try:
                for one in loaded:
                    self.ledger.check_model(one.engine.model_name)
            except PriceFileError as error:
                raise EngineConfigError(str(error)) from None
        models = [ServedModel(one.engine, one.settings or self.settings) for one in loaded]
        try:
            check_names(model.names for model in models)
        except DuplicateNameError as error:
            raise EngineConfigError(str(error)) from None
        self.slot.models = models
        self.metrics.set_build_info(", ".join(one.engine.model_name for one in loaded))

    async def close(self) -> None:
        """Write what waits to be written, and free what the model holds beside its engine."""
        await self.background.close()
        await self.responses.close()
        await self.quotas.close()
        await self.turns.close()
        if self.reward_model is not None:
            await self.reward_model.close()
        if self.traces is not None:
            await asyncio.to_thread(self.traces.close)
        if self.ledger is not None:
            await asyncio.to_thread(self.ledger.close)
        if self.telemetry is not None:
            await asyncio.to_thread(self.telemetry.close)
        for model in self.slot.models:
            model.close()


def open_services(settings: ServerSettings, registry: CollectorRegistry | None = None) -> Services:
    """Open the services that `settings` configure, without an engine.

    Raises:
        TraceStoreError, TraceTokenError: traces cannot be kept as configured.
        TelemetryMissingError: spans are configured, but their library is not installed.
        QuotaStorageUrlError, RedisMissingError: quotas cannot be counted as configured.
        ResponseStoreConfigError: responses cannot be stored as configured.
        KeyFileError: the keys cannot be used.
        SealKeyError: the keys for sealing thoughts, from the environment, are malformed, or
            missing where a shared store needs them.
        LedgerConfigError, PriceFileError, LedgerKeyError: usage cannot be recorded as configured.
    """
    slot = EngineSlot()
    metrics = Metrics(registry, lambda: slot.is_ready)
    EngineMetrics(metrics.registry, lambda: [model.engine.load for model in slot.models])
    admission_metrics = AdmissionMetrics(metrics.registry)
    limits = QueueLimits(_create_place_counter(settings, slot), settings.max_queued_requests)
    admission = AdmissionQueue(limits, admission_metrics)
    curve = LoadCurve(settings.load_shrink_from, settings.load_shrink_floor)
    load = LoadGauge(admission, lambda: slot.load, curve)
    admission_metrics.read_load_from(load.read_load, load.read_share)
    quotas = open_quotas(settings, metrics.registry)
    background, response_metrics = BackgroundTasks(), ResponseStoreMetrics(metrics.registry)
    response_metrics.count_running(lambda: background.num_running)
    return Services(
        settings=settings,
        slot=slot,
        metrics=metrics,
        keys=LiveKeys.from_settings(settings, metrics, allows_quotas=shares_counters(settings)),
        anonymous=replace(ANONYMOUS, quota=Quota(**settings.anonymous_quota)),
        admission=admission,
        load=load,
        quotas=quotas,
        turns=open_turn_budgets(settings, quotas),
        seal=ThoughtSeal.from_environment(),
        responses=open_responses(settings, response_metrics),
        background=background,
        response_metrics=response_metrics,
        sealed_thoughts=SealedThoughtStore(
            settings.thought_store_max_bytes, settings.thought_store_minutes
        ),
        running=RunningReplies(),
        trace_access=TraceAccess.from_environment(shows_thoughts=settings.show_thoughts),
        traces=open_traces(settings, metrics),
        ledger=open_ledger(settings, metrics.registry),
        reward_model=None if settings.scorer_url is None else RewardModel(settings),
        telemetry=open_telemetry(settings, lambda: slot.model_name),
        map_slots=asyncio.Semaphore(settings.map_concurrency),
    )


def get_services(request: Request) -> Services:
    """Return the services of the app that serves `request`."""
    services = request.app.state.services
    assert isinstance(services, Services)
    return services


def _create_place_counter(settings: ServerSettings, slot: EngineSlot) -> Callable[[], int]:
    """Return a function that returns how many requests may run at a time, in this process."""
    fixed, num_processes = settings.max_concurrent_requests, settings.api_processes
    return lambda: fixed or max(1, slot.max_num_seqs // num_processes)
