"""redvillm.manifest: what was written is read back; whatever else is there raises a BundleError and nothing else."""

import json
from pathlib import Path
from typing import Any

import pytest
from example_manifest import example
from hypothesis import given, settings
from hypothesis import strategies as st

from redvillm.errors import BundleError, BundleFileError, BundleSchemaError, BundleTargetError
from redvillm.manifest import (
    MANIFEST_NAME,
    SCHEMA_VERSION,
    Graphs,
    Manifest,
    describe_files,
    read_manifest,
    verify_files,
)


def mutated(change: Any) -> str:
    data = json.loads(example().to_json())
    change(data)
    return json.dumps(data)


def write_bundle(folder: Path) -> Manifest:
    folder.mkdir(parents=True)
    (folder / "vision.onnx").write_bytes(b"v")
    (folder / "sub").mkdir()
    (folder / "sub" / "data.npy").write_bytes(b"data")
    manifest = example(files=describe_files(folder))
    manifest.write(folder)
    return manifest


def test_round_trip_and_same_bytes():
    text = example().to_json()
    assert Manifest.from_json(text) == example()
    assert Manifest.from_json(text).to_json() == text


def test_written_and_read(tmp_path: Path):
    example().write(tmp_path)
    assert read_manifest(tmp_path, target="cpu") == example()
    with pytest.raises(BundleTargetError, match="tensorrt"):
        read_manifest(tmp_path, target="tensorrt")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda data: data.pop("files"), "files"),
        (lambda data: data.update(surprise=1), "surprise"),
        (lambda data: data.update(schema_version=SCHEMA_VERSION + 1), f"schema version {SCHEMA_VERSION + 1}"),
        (lambda data: data.update(schema_version=1), "schema version 1, this redvillm reads 3"),
        (lambda data: data.update(schema_version=True), "schema version True"),
        (lambda data: data.update(schema_version="1"), "schema version"),
        (lambda data: data.update(name=7), "name"),
        (lambda data: data["dimensions"].update(num_frames=0), "num_frames"),
        (lambda data: data["dimensions"].update(num_frames=True), "num_frames"),
        (lambda data: data["dimensions"].update(num_frames=1.0), "num_frames"),
        (lambda data: data["dimensions"].update(vocabulary_size=1 << 40), "vocabulary_size"),
        (lambda data: data["dimensions"].update(num_motion_tokens=-1), "num_motion_tokens"),
        (lambda data: data["frames"].update(height=1 << 20), "frames.height"),
        (lambda data: data["frames"].update(width=0), "frames.width"),
        (lambda data: data["frames"].update(fit="pad"), "squash, crop"),
        (lambda data: data["frames"].update(filter="nearest"), "bicubic"),
        (lambda data: data["frames"].update(shorter_side=224), "shorter_side"),
        (lambda data: data["frames"].update(fit="crop", shorter_side=200), "shorter_side"),
        (lambda data: data["frames"].pop("shorter_side"), "shorter_side"),
        (lambda data: data.update(streams=[]), "streams"),
        (lambda data: data.update(streams=["spatial", "spatial"]), "streams"),
        (lambda data: data.update(streams=["smell"]), "streams"),
        (lambda data: data["graphs"].pop(Graphs.DECODER), Graphs.DECODER),
        (lambda data: data["graphs"][Graphs.VISION]["inputs"][0].update(shape=[1.5]), "shape"),
        (lambda data: data["parity"][0].update(value=10**400), "value"),
        (lambda data: data["parity"][0].update(passed=1), "passed"),
        (lambda data: data["files"].update({"x": None}), "files"),
    ],
)
def test_a_wrong_manifest_says_where(change: Any, words: str):
    with pytest.raises(BundleSchemaError, match=words):
        Manifest.from_json(mutated(change))


def test_an_unknown_target_is_a_target_error():
    with pytest.raises(BundleTargetError, match="legal targets are cpu"):
        Manifest.from_json(mutated(lambda data: data.update(target="toaster")))


def test_no_motion_tokens_is_legal():
    manifest = Manifest.from_json(mutated(lambda data: data["dimensions"].update(num_motion_tokens=0)))
    assert manifest.dimensions.num_motion_tokens == 0


def test_a_file_is_no_bundle(tmp_path: Path):
    (tmp_path / "bundle").touch()
    with pytest.raises(BundleFileError, match="is a file"):
        read_manifest(tmp_path / "bundle")


@pytest.mark.parametrize("name", ["", "/etc/passwd", "../a", "a/../../b", ".hidden", "a\\b", "a\0b", ".."])
def test_file_names_stay_inside(name: str):
    with pytest.raises(BundleSchemaError):
        Manifest.from_json(mutated(lambda data: data["files"].update({name: {"sha256": "", "size_bytes": 1}})))


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "1", '"a"', "[" * 100_000, "NaN", "9" * 5000, "{}", '{"schema_version": 1}', "\ud800"])
def test_what_is_no_manifest_at_all(text: str):
    with pytest.raises(BundleSchemaError):
        Manifest.from_json(text)


def test_nan_is_not_json():
    text = example().to_json().replace("1e-06", "NaN")
    assert "NaN" in text
    with pytest.raises(BundleSchemaError, match="NaN"):
        Manifest.from_json(text)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


def paths_into(value: Any, prefix: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [prefix, *(path for key, child in children for path in paths_into(child, (*prefix, key)))]


ALL_PATHS = [path for path in paths_into(json.loads(example().to_json())) if path]


@settings(max_examples=400, deadline=None)
@given(path=st.sampled_from(ALL_PATHS), action=st.sampled_from(["replace", "remove", "add"]), value=json_values, key=st.text(max_size=8))
def test_a_mutated_manifest_is_read_or_refused(path: tuple[Any, ...], action: str, value: Any, key: str):
    data = json.loads(example().to_json())
    holder = data
    for step in path[:-1]:
        holder = holder[step]
    if action == "replace":
        holder[path[-1]] = value
    elif action == "remove":
        del holder[path[-1]]
    elif isinstance(holder[path[-1]], dict):
        holder[path[-1]][key] = value
    elif isinstance(holder[path[-1]], list):
        holder[path[-1]].append(value)
    text = json.dumps(data)
    try:
        manifest = Manifest.from_json(text)
    except BundleError:
        return
    assert Manifest.from_json(manifest.to_json()) == manifest


@settings(max_examples=200, deadline=None)
@given(text=st.text(max_size=200))
def test_any_text_is_refused_in_words(text: str):
    with pytest.raises(BundleError):
        Manifest.from_json(text)


@settings(max_examples=300, deadline=None)
@given(name=st.text(alphabet=st.sampled_from("ab./\\\0~ \n"), max_size=12))
def test_no_file_name_leaves_the_folder(name: str):
    try:
        manifest = Manifest.from_json(mutated(lambda data: data["files"].update({name: {"sha256": "", "size_bytes": 1}})))
    except BundleSchemaError:
        return
    root = Path("/bundle")
    for file_name in manifest.files:
        assert (root / file_name).resolve().is_relative_to(root)


def test_a_whole_bundle_is_verified(tmp_path: Path):
    manifest = write_bundle(tmp_path / "b")
    assert set(manifest.files) == {"vision.onnx", "sub/data.npy"}
    verify_files(tmp_path / "b", read_manifest(tmp_path / "b"))
    (tmp_path / "b" / "engines").mkdir()
    (tmp_path / "b" / "engines" / "built-later").touch()
    verify_files(tmp_path / "b", manifest)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda folder: (folder / "vision.onnx").unlink(), "lacks vision.onnx"),
        (lambda folder: (folder / "extra.bin").touch(), "extra.bin"),
        (lambda folder: (folder / "sub" / "data.npy").write_bytes(b"dat"), "3 bytes"),
        (lambda folder: (folder / "sub" / "data.npy").write_bytes(b"dato"), "altered"),
    ],
)
def test_a_damaged_bundle_is_refused(tmp_path: Path, damage: Any, words: str):
    manifest = write_bundle(tmp_path / "b")
    damage(tmp_path / "b")
    with pytest.raises(BundleFileError, match=words):
        verify_files(tmp_path / "b", manifest)


def test_without_checksums_only_sizes_count(tmp_path: Path):
    manifest = write_bundle(tmp_path / "b")
    (tmp_path / "b" / "sub" / "data.npy").write_bytes(b"dato")
    verify_files(tmp_path / "b", manifest, checksums=False)


def test_no_bundle_there(tmp_path: Path):
    with pytest.raises(BundleFileError, match="redvillm export"):
        read_manifest(tmp_path / "nowhere")


@pytest.mark.parametrize("content", [b"\xff\xfe{}", b" " * ((4 << 20) + 1)])
def test_a_manifest_that_is_no_text(tmp_path: Path, content: bytes):
    (tmp_path / MANIFEST_NAME).write_bytes(content)
    with pytest.raises(BundleSchemaError):
        read_manifest(tmp_path)
