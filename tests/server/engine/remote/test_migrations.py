"""A request whose engines are lost is the request whose engines are not."""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.examples import examples
from tests.server.engine.remote.conftest import (
    StartFrontEnd,
    make_request,
    read,
    tokens_of,
)
from tests.server.engine.remote.faults import Fault, FaultKind

ONE_FRONT_END = settings(
    max_examples=examples(80), suppress_health_check=[HealthCheck.function_scoped_fixture]
)
DEATHS = st.builds(
    Fault,
    st.sampled_from(
        [
            FaultKind.HANG_UP,
            FaultKind.RESET,
            FaultKind.NO_FINISH,
            FaultKind.ABORT,
            FaultKind.NO_HEADERS,
        ]
    ),
    st.integers(0, 60),
)


async def test_a(start: StartFrontEnd) -> None:
    front = await start(2)
    await front.wait_ready()
    undisturbed = await read(front.engine, make_request())
    print(undisturbed, len(tokens_of(undisturbed)))
    for e in front.engines:
        e.faults.append(Fault(FaultKind.HANG_UP, 5))
    disturbed = await read(front.engine, make_request())
    assert tokens_of(disturbed) == tokens_of(undisturbed)
    assert sum(output.num_migrations for output in disturbed) == 2
    await front.check_nothing_left()
    r = await front.chat(max_thinking_tokens=20, max_completion_tokens=50)
    print(r.text)
    print(await front.stream(max_thinking_tokens=20, max_completion_tokens=50))
