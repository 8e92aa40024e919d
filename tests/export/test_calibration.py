"""Frames that 8 bits are fitted to: those of the package, and the user's own."""

import cv2
import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from tiny_encoder import TinyEncoder

from redvillm.errors import OptionsError
from redvillm.export.calibration import calibration_frames, parity_frames
from redvillm.export.targets import VisionChoice
from redvillm.export.vision import export_vision
from redvillm.manifest import FitSpec

SIZE = 24
FIT = FitSpec.square(SIZE)


def test_calibration_and_parity_frames_are_fixed_and_apart():
    calibration, parity = calibration_frames(FIT), parity_frames(FIT)
    assert calibration.shape == (24, SIZE, SIZE, 3)
    assert parity.shape == (8, SIZE, SIZE, 3)
    assert (calibration == calibration_frames(FIT)).all()
    assert not any((frame == other).all() for frame in calibration for other in parity)


@pytest.fixture
def camera(tmp_path):
    """A dark clip of 50 frames, as of a camera at night, and a folder with three of its frames."""
    pixels = np.random.default_rng(0).integers(0, 20, (50, 48, 64, 3), np.uint8)
    writer = cv2.VideoWriter(str(tmp_path / "night.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 10, (64, 48))
    (tmp_path / "frames").mkdir()
    for number, frame in enumerate(pixels):
        writer.write(frame)
        if number < 3:
            cv2.imwrite(str(tmp_path / "frames" / f"{number}.png"), frame)
    writer.release()
    return tmp_path


def test_own_frames_take_the_place_of_the_packages(camera):
    for files, count in (((camera / "night.avi",), 24), ((camera / "frames",), 3), ((camera / "frames" / "1.png", camera / "night.avi"), 24)):
        frames = calibration_frames(FIT, files)
        assert frames.shape == (count, SIZE, SIZE, 3)
        assert frames.max() < 40
    first = cv2.resize(cv2.imread(str(camera / "frames" / "0.png"), cv2.IMREAD_COLOR_RGB), (SIZE, SIZE), interpolation=cv2.INTER_AREA)
    np.testing.assert_array_equal(calibration_frames(FIT, (camera / "frames",))[0], first)
    large = FitSpec.square(448)
    assert len(calibration_frames(large, (camera / "night.avi",))) == 6


def test_grids_follow_the_own_frames(camera):
    encoder = TinyEncoder().eval()
    scales = []
    for calibration in ((), (camera / "night.avi",)):
        graph = camera / f"{len(calibration)}.onnx"
        export_vision(encoder, FIT, graph, VisionChoice("cpu", "int8", calibration))
        constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in onnx.load(graph).graph.initializer}
        scales.append(np.concatenate([value.ravel() for name, value in constants.items() if name.endswith("_scale") and value.ndim == 0]))
    assert scales[0].shape == scales[1].shape
    assert not np.allclose(*scales)


@pytest.mark.parametrize("content", [b"", b"no frames"])
def test_files_without_frames_are_refused(tmp_path, content):
    (tmp_path / "text.mp4").write_bytes(content)
    with pytest.raises(OptionsError, match=r"text\.mp4"):
        calibration_frames(FIT, (tmp_path / "text.mp4",))
    with pytest.raises(OptionsError, match=r"absent\.jpg"):
        calibration_frames(FIT, (tmp_path / "absent.jpg",))
    (tmp_path / "empty").mkdir()
    with pytest.raises(OptionsError, match="empty"):
        calibration_frames(FIT, (tmp_path / "empty",))
