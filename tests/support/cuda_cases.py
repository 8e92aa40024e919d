"""What the CUDA kernels must compute, checked on whatever runs them: the SIMT emulator or a device."""

import numpy as np
from cuda_device import CudaDevice

from redvillm.kernels.cuda_library import CudaLibrary, CudaWindow

DTYPES = (np.float32, np.float16)
SHAPES = [  # T, N, D: ones, primes, odd widths, partly filled slabs and warps; rows in registers, and in chunks
    (1, 1, 1),
    (1, 7, 8),
    (2, 1, 40),
    (3, 5, 17),
    (4, 49, 64),
    (5, 97, 24),
    (7, 193, 16),
    (2, 577, 40),
    (3, 389, 13),
    (19, 101, 4),
    (2, 1201, 16),
    (3, 2311, 3),
    (2, 4096, 8),
    (5, 4096, 1),
    (1031, 2, 8),
    (3, 11, 1048),
    (1, 1601, 1024),
]


def features(shape, dtype, seed=5):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def frame_weights(num_frames):
    return np.random.default_rng(7).uniform(0.0, 3.0, num_frames).astype(np.float32)


def wide_means(x, weights):
    """Both means in float64."""
    wide = x.astype(np.float64)
    shares = np.full(len(x), 1 / len(x)) if weights is None else weights.astype(np.float64) / weights.sum(dtype=np.float64)
    return np.tensordot(shares, wide, 1), wide.mean(axis=1)


def assert_means(actual, expected, x, axis, weights=None):
    """Float32 sums in any order lose at most (terms + 4) half units in the last place of the sum of magnitudes; float16 results are then rounded."""
    magnitudes = wide_means(np.abs(x), weights)[axis]
    terms = x.shape[axis] + (4 if weights is None else 8)
    allowed = terms * 2.0**-24 * magnitudes
    if actual.dtype == np.float16:
        allowed = allowed + np.abs(expected) * 2.0**-11 + 2.0**-25
    share = np.max(np.abs(actual.astype(np.float64) - expected) / np.maximum(allowed, 1e-30))
    assert share <= 1, f"{share} times the error allowed"


def pool(library: CudaLibrary, device: CudaDevice, x, weights=None, offset_bytes=0):
    """Run the kernel; return temporal, spatial and the addresses of x, temporal and spatial."""
    num_frames, num_patches, width = x.shape
    addresses = [
        device.upload(x, offset_bytes),
        device.upload(np.full((num_patches, width), np.nan, x.dtype), offset_bytes),
        device.upload(np.full((num_frames, width), np.nan, x.dtype), offset_bytes),
    ]
    weights_address = None if weights is None else device.upload(weights)
    library.pool(addresses[0], x.dtype.name, x.shape, weights_address, *addresses[1:], 0)
    temporal = device.download(addresses[1], (num_patches, width), x.dtype)
    return temporal, device.download(addresses[2], (num_frames, width), x.dtype), addresses


def check_pool(library: CudaLibrary, device: CudaDevice, x, weights=None, offset_bytes=0):
    """Run the kernel and compare with float64 means; return the addresses."""
    temporal, spatial, addresses = pool(library, device, x, weights, offset_bytes)
    expected = wide_means(x, weights)
    assert_means(temporal, expected[0], x, 0, weights)
    assert_means(spatial, expected[1], x, 1)
    return addresses


def check_window(library: CudaLibrary, device: CudaDevice, clip, num_frames, *, in_place, offset_bytes=0):
    """Push a clip through a window frame by frame and compare every result with the reference; return its buffers' addresses.

    in_place: the ring has T slots and the newest frame overwrites the oldest; otherwise it has T + 1.
    """
    num_patches, width = sizes = clip.shape[1:]
    num_slots = num_frames + (0 if in_place else 1)
    slots = [device.upload(np.zeros(sizes, np.float16), offset_bytes) for _ in range(num_slots)]
    sums = device.upload(np.zeros(sizes, np.int64))
    temporal, spatial, energy = (device.upload(np.full(shape, np.nan, np.float32)) for shape in (sizes, (width,), (num_patches,)))
    for index, frame in enumerate(clip):
        present = min(index + 1, num_frames)
        window = CudaWindow(
            slot=slots[index % num_slots],
            sums=sums,
            spatial=spatial,
            energy=energy,
            num_frames=present,
            oldest=slots[(index - num_frames) % num_slots] if index >= num_frames else None,
            previous=slots[(index - 1) % num_slots] if index else None,
            temporal=temporal,
        )
        frame_address = device.upload(frame, offset_bytes)
        library.push(frame_address, frame.dtype.name, sizes, window, 0)
        rounded = clip[max(index - num_frames + 1, 0) : index + 1].astype(np.float16).astype(np.float64)
        np.testing.assert_array_equal(device.download(window.slot, sizes, np.float16), frame.astype(np.float16))
        np.testing.assert_array_equal(device.download(sums, sizes, np.int64), rounded.sum(axis=0) * 2**24)  # exact
        # an integer rounded to float32 in two parts, and a division: each half a unit in the last place
        np.testing.assert_allclose(device.download(temporal, sizes, np.float32), rounded.mean(axis=0), rtol=2**-22, atol=0)
        assert_means(device.download(spatial, (width,), np.float32), rounded[-1].mean(axis=0), rounded[-1:], 1)
        before = clip[index - 1].astype(np.float16).astype(np.float64) if index else rounded[-1]
        expected = np.mean((rounded[-1] - before) ** 2, axis=1)
        np.testing.assert_allclose(device.download(energy, (num_patches,), np.float32), expected, rtol=(width + 8) * 2.0**-24)
    return frame_address, window


def check_half_rounding(library: CudaLibrary, device: CudaDevice):
    """Every float16, the ties between them and their neighbours are rounded as numpy rounds."""
    halves = np.arange(0x7C00, dtype=np.uint16).view(np.float16).astype(np.float64)
    ties = ((halves[:-1] + halves[1:]) / 2).astype(np.float32)  # exact in float32
    around = [halves.astype(np.float32), ties, np.nextafter(ties, np.float32(0)), np.nextafter(ties, np.float32(np.inf))]
    values = np.concatenate([*around, np.array([65519.996, 1e-45, 2**-25, 2**-24, 6.1e-5], np.float32)])
    frame = np.resize(np.concatenate([values, -values]), (125, 2036))
    check_window(library, device, frame[None], 1, in_place=True)


def check_not_finite(library: CudaLibrary, device: CudaDevice, bad):
    """A frame that is not finite is told by its spatial pooling, and leaves no trace once it left the window."""
    clip = features((4, 3, 20), np.float32)
    clip[1, 2, 13] = bad
    slots = [device.upload(np.zeros((3, 20), np.float16)) for _ in range(2)]
    sums = device.upload(np.zeros((3, 20), np.int64))
    spatial, energy = device.upload(np.zeros(20, np.float32)), device.upload(np.zeros(3, np.float32))
    finite = []
    for index, frame in enumerate(clip):
        oldest = slots[index % 2] if index >= 2 else None
        window = CudaWindow(slot=slots[index % 2], sums=sums, spatial=spatial, energy=energy, num_frames=min(index + 1, 2), oldest=oldest)
        library.push(device.upload(frame), "float32", (3, 20), window, 0)
        finite.append(bool(np.isfinite(device.download(spatial, (20,), np.float32)).all()))
    assert finite == [True, False, True, True]
    expected = clip[2:].astype(np.float16).astype(np.float64).sum(axis=0) * 2**24
    np.testing.assert_array_equal(device.download(sums, (3, 20), np.int64), expected)
