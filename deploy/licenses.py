"""Writes the table of licences from pip's installation reports. Standard library only.

    python deploy/licenses.py REPORT.json …

Names and versions are those of the locks; a package that no report has (it is for another version
of Python) is listed without a licence. Does not judge what a licence allows.
"""

import json
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

LOCKS = Path(__file__).parent / "requirements"
DEVICES = ("cpu", "cuda")
# Longer fields are the licence's text; its classifier then says which one it is.
MAX_LENGTH = 60
COPYLEFT = re.compile(r"\b(A?GPL|LGPL|MPL|EUPL|CDDL|Mozilla|GNU)")
NOT_READ = "not read: for another version of Python"
# What the metadata leaves open, from the licence files inside the packages.
FROM_FILES = {
    "oss-harmony": "Apache-2.0",
}
HEAD = """\
# Licences of the run-time dependencies

Written by `make licenses` from the metadata of the packages in `cpu.txt` and `cuda.txt`; a test
compares names and versions with these locks. "not stated" means that the metadata names no licence:
the package's own files say more. None of it is legal advice.

The server itself is Apache-2.0. Its image and its environment contain these packages unmodified;
the wheel contains only the front-end libraries of
`server/pages/static/vendor/`, whose README.md lists them.
"""


def main(reports: Sequence[str]) -> None:
    """Print the page."""
    licences: dict[str, str] = {}
    for report in reports:
        for item in json.loads(Path(report).read_text(encoding="utf-8"))["install"]:
            licences[_normalise(item["metadata"]["name"])] = find_licence(item["metadata"])
    licences |= {name: text for name, text in FROM_FILES.items() if name in licences}
    sys.stdout.write(render(read_locks(), licences))


def read_locks() -> dict[str, dict[str, list[str]]]:
    """Return name -> device -> locked versions (several where they differ by version of Python)."""
    found: dict[str, dict[str, list[str]]] = {}
    for device in DEVICES:
        text = (LOCKS / f"{device}.txt").read_text(encoding="utf-8")
        for name, version in re.findall(
            r"^([a-z0-9][a-z0-9._-]*)==([^ \\\n]+)", text, re.MULTILINE
        ):
            found.setdefault(name, {}).setdefault(device, []).append(version)
    torch = re.search(r"^torch==(\S+)$", (LOCKS / "torch-cpu.txt").read_text(), re.MULTILINE)
    assert torch is not None
    found["torch"]["cpu"] = [torch[1]]
    return dict(sorted(found.items()))


def find_licence(metadata: Mapping[str, Any]) -> str:
    """Return the licence that a package's metadata names: expression, field or classifiers."""
    if expression := metadata.get("license_expression"):
        return str(expression)
    stated = (metadata.get("license") or "").strip()
    if stated and len(stated) <= MAX_LENGTH and "\n" not in stated:
        return stated
    classifiers = [
        classifier.rpartition("::")[2].strip()
        for classifier in metadata.get("classifier", ())
        if classifier.startswith("License ::")
    ]
    return ", ".join(classifiers) or _read_first_line(stated) or "not stated"


def render(locked: Mapping[str, Mapping[str, Sequence[str]]], licences: Mapping[str, str]) -> str:
    """Return the page."""
    rows = {name: licences.get(name, NOT_READ) for name in locked}
    copyleft = [name for name, licence in rows.items() if COPYLEFT.search(licence)]
    proprietary = [name for name, licence in rows.items() if _is_proprietary(licence)]
    lines = [
        HEAD,
        "## Worth a look\n",
        "Copyleft (of files or libraries, not of what uses them), or a choice of it: "
        + ", ".join(f"`{name}` ({rows[name]})" for name in copyleft)
        + ".\n",
        "Proprietary: " + ", ".join(f"`{name}`" for name in proprietary) + ".\n",
        "## All\n",
        "| package | CPU | CUDA | licence |",
        "|---|---|---|---|",
        *(_format_row(name, locked[name], licence) for name, licence in rows.items()),
    ]
    return "\n".join(lines) + "\n"


def _format_row(name: str, versions: Mapping[str, Sequence[str]], licence: str) -> str:
    cells = [", ".join(versions.get(device, ())) for device in DEVICES]
    return f"| {name} | {' | '.join(cells)} | {licence.replace('|', '/')} |"


def _is_proprietary(licence: str) -> bool:
    return bool(re.search("proprietary|end user", licence, re.IGNORECASE))


def _read_first_line(text: str) -> str:
    lines: Iterable[str] = (line.strip() for line in text.splitlines())
    return next((line for line in lines if line), "")[:MAX_LENGTH]


def _normalise(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


if __name__ == "__main__":
    main(sys.argv[1:])
