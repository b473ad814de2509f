"""Publishes a finding: its block on the page, and its picture beside it.

Knows files; not how the finding was made.
"""

from dataclasses import dataclass
from pathlib import Path

from benchmarks.proof.experiment import Finding
from benchmarks.proof.machine import describe_provenance
from benchmarks.proof.page import replace_block

PICTURES = "pictures"


@dataclass(frozen=True, slots=True)
class Publication:
    """Page to publish: reads `source` and writes `page`, which may be the same."""

    source: Path
    page: Path

    def publish(self, name: str, finding: Finding) -> str:
        """Write the block `name` and its picture, and return the block.

        Raises:
            PageError: the page has no such block.
        """
        block = make_block(name, finding)
        current = self.page if self.page.exists() else self.source
        text = replace_block(current.read_text(encoding="utf-8"), name, block)
        if finding.picture is not None:
            path = self.page.parent / make_picture_path(name)
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(finding.picture)
        self.page.write_text(text, encoding="utf-8")
        return block


def make_picture_path(name: str) -> str:
    """Return the path of the picture, relative to the page."""
    return f"{PICTURES}/proof-{name}.png"


def make_block(name: str, finding: Finding) -> str:
    """Return picture, tables, verdicts and their provenance."""
    claims = "\n".join(f"- {claim}." for claim in finding.claims)
    picture = "" if finding.picture is None else f"![{name}]({make_picture_path(name)})"
    source = describe_provenance(f'make eval ARGS="--only {name}"')
    return "\n\n".join(part for part in (picture, finding.text, claims, source) if part)
