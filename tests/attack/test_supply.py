"""What is installed is what was locked; no secret is in what is shipped."""

import re
import subprocess

import pytest

from tests.house.sources import ROOT

LOCKS = ("cpu.txt", "cuda.txt", "dev.txt")
SECRETS = re.compile(
    rb"-----BEGIN [A-Z ]*PRIVATE KEY-----|\bsk-[A-Za-z0-9]{32,}|\bghp_[A-Za-z0-9]{36}"
    rb"|\bAKIA[0-9A-Z]{16}|\bhf_[A-Za-z0-9]{30,}"
)


@pytest.mark.parametrize("name", LOCKS)
def test_every_requirement_is_pinned_and_hashed(name: str) -> None:
    text = (ROOT / "deploy/requirements" / name).read_text()
    wanted = [line for line in text.splitlines() if line and line[0] not in " #"]
    hashes = re.findall(r"^\S+==\S+ .*\\\n    --hash=sha256:[0-9a-f]{64}", text, re.MULTILINE)
    assert wanted
    assert len(hashes) == len(wanted)
    assert "://" not in text.replace("https://github.com", "")


def test_no_file_holds_a_secret() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout
    found = [
        name
        for name in listed.split("\0")
        if name and (ROOT / name).is_file() and SECRETS.search((ROOT / name).read_bytes())
    ]
    assert found == []


def test_an_image_holds_only_what_is_named_and_runs_as_nobody() -> None:
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert "*" in ignored
    assert not [
        line for line in ignored if line.startswith("!") and ("env" in line or "key" in line)
    ]
    stages = (ROOT / "Dockerfile").read_text().split("\nFROM ")
    for stage in stages:
        if "ENTRYPOINT" in stage:
            assert "USER 10001" in stage
    assert not re.search(r"^(ARG|ENV) .*(TOKEN|SECRET|PASSWORD)", "\n".join(stages), re.MULTILINE)
