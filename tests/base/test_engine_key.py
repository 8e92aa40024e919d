"""Keys of engines: names, files beside the engine, and refusals."""

import json
from dataclasses import replace

import pytest

from redvillm.engine_key import EngineKey, FrameProfile, key_path, read_key, require_key, write_key
from redvillm.errors import BundleFileError, BundleTargetError, OptionsError

KEY = EngineKey(
    flavour="tensorrt_rtx",
    version="1.7.1.116",
    architectures=("SM86", "SM89"),
    precision="float16",
    pooling="plugin",
    frames=FrameProfile(1, 8, 16),
    onnx_sha256="0a" * 32,
)


@pytest.fixture
def engine(tmp_path):
    path = tmp_path / KEY.file_name("video")
    path.write_bytes(b"an engine")
    write_key(path, KEY)
    return path


def test_a_key_comes_back(engine):
    assert read_key(engine) == KEY
    require_key(engine, KEY)


def test_an_engine_for_several_architectures_fits_each_of_them(engine):
    require_key(engine, replace(KEY, architectures=("SM89",)))
    with pytest.raises(BundleTargetError, match="SM120"):
        require_key(engine, replace(KEY, architectures=("SM120",)))
    with pytest.raises(BundleTargetError):
        require_key(engine, replace(KEY, architectures=("SM89", "SM120")))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("flavour", "tensorrt"),
        ("version", "1.7.1.117"),
        ("precision", "float32"),
        ("pooling", "function"),
        ("frames", FrameProfile(1, 8, 17)),
        ("onnx_sha256", "0b" * 32),
    ],
)
def test_every_difference_is_refused_and_has_another_name(engine, field, value):
    other = replace(KEY, **{field: value})
    with pytest.raises(BundleTargetError, match=field):
        require_key(engine, other)
    assert other.file_name("video") != KEY.file_name("video")


def test_an_altered_engine_is_refused(engine):
    engine.write_bytes(b"an engin.")
    with pytest.raises(BundleFileError, match="altered"):
        read_key(engine)


def test_a_missing_engine_or_key_is_refused(engine):
    with pytest.raises(BundleFileError):
        read_key(engine.with_name("other.engine"))
    key_path(engine).unlink()
    with pytest.raises(BundleFileError):
        read_key(engine)


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content.pop("version"),
        lambda content: content.update(more=1),
        lambda content: content.update(frames=[1, 2, 3]),
        lambda content: content.update(frames={"smallest": 3, "usual": 2, "largest": 1}),
        lambda content: content.update(architectures="SM86"),
        lambda content: content.update(architectures=["../SM86"]),
        lambda content: content.update(version="../../etc"),
        lambda content: content.update(version=10),
    ],
)
def test_a_damaged_key_is_refused(engine, damage):
    content = json.loads(key_path(engine).read_text())
    damage(content)
    key_path(engine).write_text(json.dumps(content))
    with pytest.raises(BundleFileError):
        read_key(engine)


@pytest.mark.parametrize("text", ["", "[]", "null", "{", "\xff"])
def test_a_key_that_is_no_json_object_is_refused(engine, text):
    key_path(engine).write_bytes(text.encode("latin-1"))
    with pytest.raises(BundleFileError):
        read_key(engine)


@pytest.mark.parametrize("values", [(0, 1, 2), (2, 1, 3), (1, 3, 2), (1, 2, 5000), (1.0, 2, 3), (True, 2, 3), ("1", 2, 3)])
def test_an_impossible_profile_is_refused(values):
    with pytest.raises(OptionsError):
        FrameProfile(*values)


@pytest.mark.parametrize(
    "change",
    [
        {"flavour": "trt"},
        {"precision": "fp16"},
        {"pooling": "none"},
        {"architectures": ()},
        {"architectures": ("SM86", "SM86")},
        {"architectures": ("sm_86",)},
        {"architectures": ["SM86"]},
        {"onnx_sha256": "0A" * 32},
    ],
)
def test_an_impossible_key_is_refused(change):
    with pytest.raises(OptionsError):
        replace(KEY, **change)
