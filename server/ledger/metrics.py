"""Metrics of the ledger: rows and commits, failures, and whether it takes rows."""

from prometheus_client import CollectorRegistry

from server.metrics.factories import counter, gauge, histogram

# A commit on a local disk takes less than a millisecond, one over a network some.
_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


class LedgerMetrics:
    """Ledger metrics of one app."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.rows = counter(registry, "ledger_rows", "Rows written to the ledger.")
        self.commits = counter(registry, "ledger_commits", "Commits that wrote rows.")
        self.failures = counter(registry, "ledger_failures", "Writes that failed.")
        self.seconds = histogram(
            registry, "ledger_commit_seconds", "Duration of a commit.", _BUCKETS
        )
        self.up = gauge(registry, "ledger_up", "1: the ledger takes rows, or there is none.")
        self.up.set(1)
        self.spooled = gauge(registry, "ledger_spooled_rows", "Rows that wait in the spool.")
