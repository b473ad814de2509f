"""From a finding to the page: its block, and its picture beside it.

Knows files; nothing of how something was found.
"""

from dataclasses import dataclass
from pathlib import Path

from benchmarks.proof.experiment import Finding
from benchmarks.proof.machine import provenance
from benchmarks.proof.page import replace_block

PICTURES = "pictures"


@dataclass(frozen=True, slots=True)
class Publication:
    """Reads the page at `source` and writes it to `page`, which may be the same."""

    source: Path
    page: Path

    def publish(self, name: str, finding: Finding) -> str:
        """Write the block called `name`, and its picture; the block.

        Raises:
            PageError: the page has no such block.
        """
        block = block_of(name, finding)
        current = self.page if self.page.exists() else self.source
        text = replace_block(current.read_text(encoding="utf-8"), name, block)
        if finding.picture is not None:
            path = self.page.parent / picture_of(name)
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(finding.picture)
        self.page.write_text(text, encoding="utf-8")
        return block


def picture_of(name: str) -> str:
    """Its path, beside the page."""
    return f"{PICTURES}/proof-{name}.png"


def block_of(name: str, finding: Finding) -> str:
    """Picture, tables, verdicts, and where they come from."""
    claims = "\n".join(f"- {claim}." for claim in finding.claims)
    picture = "" if finding.picture is None else f"![{name}]({picture_of(name)})"
    source = provenance(f'make eval ARGS="--only {name}"')
    return "\n\n".join(part for part in (picture, finding.text, claims, source) if part)
