"""OpenAI's WebSocket mode, read by its own client: responses, one after the other and at once."""

from tests.server.api.openai.responses.socket.conftest import SocketServer


async def test_a_response_has_the_events_of_a_stream(seven: SocketServer) -> None:
    async with seven.connect() as talk:
        events = await talk.respond()
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    async with seven.openai as client:
        stream = await client.responses.create(
            model="scripted", input="How many?", temperature=0, stream=True
        )
        wanted = [event.type async for event in stream]
    assert [event["type"] for event in events] == wanted
    assert events[-1]["response"]["output"][-1]["content"][0]["text"] == "Seven."
