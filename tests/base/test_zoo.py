"""redvillm.zoo: pinned entries that agree with each other, and paths inside the cache."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from redvillm import zoo
from redvillm.errors import FetchError, OptionsError


@pytest.mark.parametrize("pinned", zoo.PINNED_FILES, ids=lambda pinned: pinned.name)
def test_entries_are_pinned(pinned: zoo.PinnedFile):
    assert re.fullmatch(r"[0-9a-f]{64}", pinned.sha256)
    assert re.fullmatch(r"[0-9a-f]{64}", pinned.wheel_sha256)
    assert pinned.wheel.startswith(f"{pinned.package.replace('-', '_')}-{pinned.version}-")
    assert pinned.size_bytes > 0
    assert pinned.wheel_size_bytes > 0
    assert pinned.requirement == f"{pinned.package}=={pinned.version}"
    assert pinned.licence
    assert pinned.origin


def test_names_are_distinct_and_models_are_whole():
    assert len(set(zoo.names())) == len(zoo.names())
    for model in zoo.MODELS:
        assert {part.name for part in zoo.parts_of(model.name)} == {model.vision, model.llm}
        assert zoo.model_named(model.name) is model


def test_files_of_one_wheel_agree():
    by_wheel: dict[str, set[tuple[str, int]]] = {}
    for pinned in zoo.PINNED_FILES:
        by_wheel.setdefault(pinned.wheel, set()).add((pinned.wheel_sha256, pinned.wheel_size_bytes))
    assert all(len(facts) == 1 for facts in by_wheel.values())


def test_paths_are_distinct_and_inside_the_cache(isolated_cache: Path):
    paths = [zoo.cached_path(pinned) for pinned in zoo.PINNED_FILES]
    assert len(set(paths)) == len(paths)
    assert all(path.is_relative_to(isolated_cache) for path in paths)
    assert zoo.bundle_folder("redvillm-nano", "cpu").is_relative_to(isolated_cache)


def test_the_cache_can_be_chosen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(zoo.CACHE_VARIABLE, "~/there")
    assert zoo.cache_root() == tmp_path / "there"
    monkeypatch.setenv(zoo.CACHE_VARIABLE, "relative")
    assert zoo.cache_root() == tmp_path / "relative"
    monkeypatch.setenv(zoo.CACHE_VARIABLE, "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert zoo.cache_root().is_relative_to(tmp_path)


def test_what_is_not_fetched_says_how(isolated_cache: Path):
    with pytest.raises(FetchError, match="redvillm fetch smollm2-135m-instruct"):
        zoo.weights_path("smollm2-135m-instruct")
    with pytest.raises(FetchError, match="redvillm fetch sample:bikes"):
        zoo.clip_path("bikes")
    damaged = isolated_cache / "clips" / "bikes.mp4"
    damaged.parent.mkdir()
    damaged.write_bytes(b"short")
    with pytest.raises(FetchError):
        zoo.clip_path("sample:bikes")


@pytest.mark.parametrize("function", [zoo.weights_path, zoo.clip_path, zoo.model_named, zoo.parts_of])
@pytest.mark.parametrize("name", ["", "nope", "../..", "a" * 5000])
def test_unknown_names_list_the_legal_ones(function, name: str):
    with pytest.raises(OptionsError, match=r"nano|smollm2|bikes") as caught:
        function(name)
    assert len(str(caught.value)) < 400


def test_weights_are_no_clips():
    with pytest.raises(OptionsError):
        zoo.weights_path("sample:bikes")
    with pytest.raises(OptionsError):
        zoo.clip_path("efficientnet-lite0")


@pytest.mark.parametrize(("name", "target"), [("../x", "cpu"), ("a/b", "cpu"), ("", "cpu"), ("redvillm-nano", "toaster")])
def test_bundle_folders_have_plain_names(name: str, target: str):
    with pytest.raises(OptionsError):
        zoo.bundle_folder(name, target)


@pytest.mark.parametrize("model", zoo.MODELS, ids=lambda model: model.name)
def test_the_adapter_comes_with_the_package(model: zoo.Model):
    assert zoo.adapter_path(model).stat().st_size > 0


def test_an_installation_without_its_adapter_says_so():
    missing = replace(zoo.MODELS[0], adapter="no-such-adapter.safetensors")
    with pytest.raises(FetchError, match="no-such-adapter"):
        zoo.adapter_path(missing)
