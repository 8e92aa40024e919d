"""Vision encoders of timm through transformers' wrapper, tiny, with random weights: features and bundles. Skipped where timm is not installed."""

import json

import numpy as np
import pytest
import torch
import transformers
from composed_models import compose, write_adapter
from safetensors.torch import load_file, save_file

import redvillm
from redvillm.cli.command_line import main
from redvillm.errors import ExportError
from redvillm.export.bundle import export_checkpoint
from redvillm.export.checkpoint_plan import CheckpointOptions
from redvillm.export.vision_encoders import empty_vision_encoder, load_vision_encoder

TINY = {
    # width and place of the channels, number of other tokens, patches
    "resnet10t": ({"channels": (8, 16, 16, 32)}, 64, (32, 0, 4)),
    "convnext_atto": ({"dims": (8, 8, 16, 32), "depths": (1, 1, 1, 1)}, 64, (32, 0, 4)),
    "vit_tiny_patch16_224": ({"depth": 2, "embed_dim": 32, "num_heads": 2, "patch_size": 8, "img_size": 32, "reg_tokens": 3}, 32, (32, 4, 16)),
    "swin_tiny_patch4_window7_224": (
        {"depths": (1, 2), "embed_dim": 16, "num_heads": (1, 2), "img_size": 64, "window_size": 4},
        64,
        (32, 0, 64),
    ),
}
MEAN, STD = (0.41, 0.52, 0.43), (0.21, 0.32, 0.23)


@pytest.fixture(scope="module", autouse=True)
def timm():
    """The library, with a torchvision that belongs to this torch."""
    return pytest.importorskip("timm", reason="timm or its torchvision is not installed", exc_type=(ImportError, RuntimeError))


def write_timm(folder, name):
    """As transformers saves a model of timm; image and normalisation are not those that timm takes where nothing is said."""
    arguments, side, _ = TINY[name]
    pretrained = {"input_size": (3, side, side), "mean": MEAN, "std": STD, "interpolation": "bicubic", "crop_pct": 0.9}
    torch.manual_seed(0)
    config = transformers.TimmWrapperConfig(architecture=name, model_args=arguments, pretrained_cfg=pretrained)
    model = transformers.TimmWrapperModel(config)
    for part, parameter in model.named_parameters():
        if parameter.dim() > 1:
            torch.nn.init.normal_(parameter, 0, 0.15)
        elif "bias" not in part:
            torch.nn.init.uniform_(parameter, 0.5, 1.5)
    model.save_pretrained(folder)
    return folder


def compose_timm(folder, name):
    compose(folder)
    for path in (folder / "vision").iterdir():
        path.unlink()
    loaded = load_vision_encoder(write_timm(folder / "vision", name))
    write_adapter(folder / "adapter.safetensors", loaded.num_patches, loaded.width)
    return folder


@pytest.mark.parametrize("name", TINY)
def test_features_are_those_of_timm_without_its_prefix_tokens(timm, tmp_path, name):
    """Against timm's own model and a normalisation in float64; what is left is the order of float32 additions."""
    arguments, side, (width, num_others, num_patches) = TINY[name]
    folder = write_timm(tmp_path / "vision", name)
    loaded = load_vision_encoder(folder)
    assert (loaded.num_patches, loaded.width, loaded.image_size) == (num_patches, width, side)
    own = timm.create_model(name, pretrained=False, num_classes=0, **arguments).eval()
    own.load_state_dict({key.removeprefix("timm_model."): value for key, value in load_file(folder / "model.safetensors").items()})
    pixels = np.random.default_rng(0).integers(0, 256, (3, side, side, 3), np.uint8)
    given = torch.from_numpy(((pixels / 255 - MEAN) / STD).astype(np.float32)).permute(0, 3, 1, 2)
    with torch.inference_mode():
        expected = own.forward_features(given)
        if expected.ndim == 4:
            expected = expected if expected.shape[-1] == width else expected.permute(0, 2, 3, 1)
            expected = expected.flatten(1, 2)
        assert expected.shape[1] == num_patches + num_others
        torch.testing.assert_close(loaded.module(torch.from_numpy(pixels)), expected[:, num_others:], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", TINY)
def test_an_encoder_without_its_weights_has_the_same_sizes(tmp_path, name):
    folder = write_timm(tmp_path / "vision", name)
    loaded, empty = load_vision_encoder(folder), empty_vision_encoder(folder)
    assert (empty.num_patches, empty.width, empty.image_size) == (loaded.num_patches, loaded.width, loaded.image_size)
    shapes = [[(key, value.shape) for key, value in encoder.module.named_parameters()] for encoder in (loaded, empty)]
    assert shapes[0] == shapes[1]


@pytest.mark.parametrize("precision", ["fp32", "int8"])
@pytest.mark.parametrize("name", TINY)
def test_an_encoder_of_timm_becomes_a_bundle_that_answers(tmp_path, name, precision):
    folder = compose_timm(tmp_path / "model", name)
    assert main(["export", str(folder), "--check"]) == 0
    options = CheckpointOptions(max_frames=6, max_context_tokens=400)
    manifest = export_checkpoint(str(folder), tmp_path / "bundle", options, vision=precision)
    assert manifest.parity
    assert all(result.passed for result in manifest.parity)
    clip = list(np.random.default_rng(0).integers(0, 256, (5, 45, 70, 3), dtype=np.uint8))
    with redvillm.load(tmp_path / "bundle") as model:
        answer = model.ask(clip, "What?", options=redvillm.GenerationOptions(max_new_tokens=3))
        assert answer.evidence.frames_used == 5


def test_a_folder_as_timm_publishes_it_is_taken(tmp_path):
    """timm's own config.json has no model_type, and its weights have a classifier and no prefix of the wrapper."""
    folder = write_timm(tmp_path / "vision", "resnet10t")
    expected = load_vision_encoder(folder).module(torch.ones(1, 64, 64, 3, dtype=torch.uint8))
    config = json.loads((folder / "config.json").read_text())
    kept = {key: config[key] for key in ("architecture", "pretrained_cfg", "model_args")} | {"num_classes": 5, "num_features": 32}
    (folder / "config.json").write_text(json.dumps(kept))
    state = {key.removeprefix("timm_model."): value for key, value in load_file(folder / "model.safetensors").items()}
    save_file(state | {"fc.weight": torch.zeros(5, 32), "fc.bias": torch.zeros(5)}, folder / "model.safetensors", metadata={"format": "pt"})
    torch.testing.assert_close(load_vision_encoder(folder).module(torch.ones(1, 64, 64, 3, dtype=torch.uint8)), expected)


def test_what_gives_several_maps_is_refused(tmp_path):
    folder = write_timm(tmp_path / "vision", "resnet10t")
    config = json.loads((folder / "config.json").read_text())
    config["model_args"]["features_only"] = True
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ExportError):
        load_vision_encoder(folder)
