"""Connections go to the process with the fewest; one that does not listen is not waited for."""

from pathlib import Path

from server.api_processes.accepting import ConnectionCounts
from server.api_processes.place import ProcessPlace


def test_only_processes_that_listen_count(tmp_path: Path) -> None:
    counts = [ConnectionCounts(ProcessPlace(number, 3, tmp_path)) for number in range(3)]
    assert counts[0].find_fewest() is None
    counts[1].write(5)
    counts[0].write(0)
    assert counts[0].find_fewest() == 5  # its own does not count
    counts[2].write(0)
    assert counts[0].find_fewest() == 0
    counts[2].close()
    assert counts[0].find_fewest() == 5
    counts[2].clear(1)  # as the supervisor does for one that has died
    assert counts[0].find_fewest() is None
    assert counts[1].find_fewest() == 0
