"""Finding and checking bundles: every way in which one is not usable."""

import pytest

from redvillm.errors import BundleFileError, BundleSchemaError, BundleTargetError, OptionsError
from redvillm.manifest import MANIFEST_NAME, SCHEMA_VERSION, Graphs
from redvillm.runtime.bundle import open_bundle
from redvillm.zoo import bundle_folder


def open_at(folder, *, target="cpu", verify="sha256"):
    return open_bundle(folder, target=target, verify=verify)


def test_a_folder(fake_bundle):
    bundle = open_at(str(fake_bundle))
    assert bundle.folder == fake_bundle
    assert bundle.manifest.name == "fake"


def test_a_name_finds_the_bundle_in_the_cache(fake_bundle):
    home = bundle_folder("my-model", "cpu")
    home.parent.mkdir(parents=True)
    fake_bundle.rename(home)
    assert open_at("my-model").folder == home


def test_an_absent_name_says_the_command():
    with pytest.raises(BundleFileError, match="redvillm export redvillm-nano --target cpu"):
        open_at("redvillm-nano")


@pytest.mark.parametrize("name", ["", "no such model!", "a\0b", "x" * 300])
def test_a_name_that_cannot_be_one_is_an_error_in_words(name):
    with pytest.raises((OptionsError, BundleFileError)):
        open_at(name)


def test_a_folder_that_is_no_bundle(tmp_path):
    with pytest.raises(BundleFileError, match="not a bundle"):
        open_at(tmp_path)
    with pytest.raises(BundleFileError, match="not a bundle"):
        open_at(tmp_path / "absent")


def test_a_missing_file(fake_bundle):
    (fake_bundle / Graphs.ALIGN).unlink()
    with pytest.raises(BundleFileError, match=r"lacks align\.onnx"):
        open_at(fake_bundle)


def test_an_extra_file(fake_bundle):
    (fake_bundle / "extra.bin").touch()
    with pytest.raises(BundleFileError, match=r"extra\.bin"):
        open_at(fake_bundle)


def test_an_altered_file_of_the_same_size(fake_bundle):
    path = fake_bundle / Graphs.DECODER
    path.write_text(path.read_text().upper())
    with pytest.raises(BundleFileError, match="altered"):
        open_at(fake_bundle)
    open_at(fake_bundle, verify="sizes")  # as asked: sizes only


def test_a_file_of_another_size(fake_bundle):
    with (fake_bundle / Graphs.DECODER).open("a") as file:
        file.write("more")
    with pytest.raises(BundleFileError, match="bytes"):
        open_at(fake_bundle, verify="sizes")


def test_a_newer_schema(fake_bundle):
    path = fake_bundle / MANIFEST_NAME
    path.write_text(path.read_text().replace(f'"schema_version": {SCHEMA_VERSION}', '"schema_version": 99'))
    with pytest.raises(BundleSchemaError, match="99"):
        open_at(fake_bundle)


def test_another_target(fake_bundle):
    with pytest.raises(BundleTargetError, match="'cuda' was asked for"):
        open_at(fake_bundle, target="cuda")


@pytest.mark.parametrize(("option", "value"), [("target", "abacus"), ("verify", "trust")])
def test_options_are_checked(fake_bundle, option, value):
    with pytest.raises(OptionsError, match=option):
        open_at(fake_bundle, **{option: value})
