"""The tables of docs/clients.md, from the catalogue and the locks.

``python -m tests.sdk.table`` writes them into the page; a test holds the page to them. Knows
nothing of results: the tests fail where one differs from what the tables say.
"""

from collections.abc import Iterable, Sequence

from tests.sdk.agents.catalogue import AGENTS
from tests.sdk.catalogue import CALLS, CLIENTS, ROOT, Client

PAGE = ROOT / "docs" / "clients.md"
ENDPOINTS = ("responses", "messages", "completions")
YES, NONE = "✓", "–"


def works() -> str:
    """Which client, in which version, does what."""
    head = ["client", "version", *CALLS, *(endpoint.title() for endpoint in ENDPOINTS)]
    return table(head, ([*name(client), *cells(client)] for client in CLIENTS))


def spelling() -> str:
    """How a budget is said with each client, and what else to know."""
    head = ["client", "budget", "notes"]
    return table(head, ([name(client)[0], client.budget, client.quirks] for client in CLIENTS))


def agents() -> str:
    """Return the table of coding agents: which API each uses, and how a budget is set."""
    head = ["agent", "version", "uses", "budget", "not used, and named"]
    rows = (
        [
            f"{agent.title} (`{agent.package}`)",
            agent.locked_version(),
            f"`{agent.endpoint}`",
            agent.budget,
            ", ".join(f"`{path}`" for path in agent.ignored) or NONE,
        ]
        for agent in AGENTS
    )
    return table(head, rows)


def name(client: Client) -> list[str]:
    registry = "npm" if client.is_for_node else "Python"
    package = client.package.partition("[")[0]
    return [f"{package} ({registry})", client.locked_version()]


def cells(client: Client) -> list[str]:
    able = {*client.features, client.protocol}
    return [YES if feature in able else NONE for feature in (*CALLS, *ENDPOINTS)]


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def filled(page: str) -> str:
    """`page` with its tables as they should be."""
    for mark, text in {"works": works(), "agents": agents(), "spelling": spelling()}.items():
        before, start, rest = page.partition(f"<!-- {mark} -->\n")
        _, end, after = rest.partition("<!-- end -->")
        assert start, mark
        assert end, mark
        page = f"{before}{start}{text}\n{end}{after}"
    return page


if __name__ == "__main__":
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
