"""The adapter of a Video LLM: pooled streams -> visual tokens.

RED-VILLM (arXiv 2404.11865, section 3): the Image LLM's alignment maps the temporal pooling to N spatial tokens, and a temporal alignment, begun as a
copy of it, maps the spatial pooling to T temporal tokens. A third stream maps the energy of frame differences to M motion tokens, because both means
lose the order of the frames. Knows widths and weights; does not know the vision encoder or the LLM behind them.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from torch.nn import functional

from redvillm.errors import ExportError, OptionsError
from redvillm.export.tuning import NO_TUNING, TUNED_KINDS, FloatArray, LanguageTuning
from redvillm.files import atomic_file

_HEADER = "redvillm"


@dataclass(frozen=True, kw_only=True)
class AdapterOptions:
    """Sizes of an adapter: N patches, D vision width, H LLM width, M motion tokens and the hidden widths of the MLPs."""

    num_patches: int = 49
    vision_width: int = 1280
    llm_width: int = 576
    num_motion_tokens: int = 4
    hidden_width: int = 1280
    motion_hidden_width: int = 512

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if type(value) is not int or value < 1:
                raise OptionsError(f"adapter option {name} is {value!r}; a positive integer is wanted")


class Alignment(nn.Module):
    """Two-layer MLP, as in LLaVA-1.5 (arXiv 2310.03744): [..., D] -> [..., H]."""

    def __init__(self, vision_width: int, hidden_width: int, llm_width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(vision_width)
        self.up = nn.Linear(vision_width, hidden_width)
        self.down = nn.Linear(hidden_width, llm_width)

    def forward(self, x: Tensor) -> Tensor:
        """Map each pooled feature by itself."""
        tokens: Tensor = self.down(functional.gelu(self.up(self.norm(x))))
        return tokens


class MotionAlignment(nn.Module):
    """Motion energy [..., M, N] -> motion tokens [..., M, H]; every token sees all segments, so that it can compare places over time."""

    def __init__(self, options: AdapterOptions) -> None:
        super().__init__()
        self._shape = (options.num_motion_tokens, options.llm_width)
        self.up = nn.Linear(options.num_motion_tokens * options.num_patches, options.motion_hidden_width)
        self.down = nn.Linear(options.motion_hidden_width, options.num_motion_tokens * options.llm_width)

    def forward(self, motion_energy: Tensor) -> Tensor:
        """The square root turns energy into an amplitude, of the order of one."""
        hidden = functional.gelu(self.up(torch.sqrt(motion_energy).flatten(-2)))
        tokens: Tensor = self.down(hidden).unflatten(-1, self._shape)
        return tokens


class Adapter(nn.Module):
    """All alignments, and the scale that brings visual tokens to the size of word embeddings."""

    def __init__(self, options: AdapterOptions) -> None:
        super().__init__()
        self.options = options
        self.alignment = Alignment(options.vision_width, options.hidden_width, options.llm_width)
        self.temporal_alignment = Alignment(options.vision_width, options.hidden_width, options.llm_width)
        self.motion_alignment = MotionAlignment(options)
        self.positions = nn.Parameter(torch.zeros(options.num_patches, options.llm_width))
        self.gain = nn.Parameter(torch.ones(3))

    @property
    def sizes(self) -> AdapterOptions:
        """Its sizes."""
        return self.options

    def forward(self, temporal_pooling: Tensor, spatial_pooling: Tensor, motion_energy: Tensor) -> Tensor:
        """[..., N, D], [..., T, D], [..., M, N] -> visual tokens [..., N + T + M, H], in the order spatial, temporal, motion."""
        spatial = self.gain[0] * _unit(self.alignment(temporal_pooling) + self.positions)
        temporal = self.gain[1] * _unit(self.temporal_alignment(spatial_pooling))
        motion = self.gain[2] * _unit(self.motion_alignment(motion_energy))
        return torch.cat((spatial, temporal, motion), dim=-2)


def save_adapter(adapter: Adapter, path: Path, *, metadata: dict[str, str], tuning: LanguageTuning = NO_TUNING) -> None:
    """Write the weights and the tuning of the LLM as float16 safetensors, with the options and `metadata` in the header, atomically."""
    state = {name: value.detach().to(torch.float16).contiguous() for name, value in adapter.state_dict().items()}
    for kind in TUNED_KINDS:
        state |= {f"{kind}.{name}": torch.from_numpy(np.asarray(value)).to(torch.float16) for name, value in getattr(tuning, kind).items()}
    with atomic_file(path) as temporary:
        # one entry, because the library writes several in no fixed order
        header = {_HEADER: json.dumps({**metadata, "options": asdict(adapter.options)}, sort_keys=True)}
        safetensors.torch.save_file(state, temporary, metadata=header)


def load_adapter(path: Path) -> Adapter:
    """Read an adapter as float32, ready for export or further training.

    Raises:
        ExportError: no such file, or not an adapter.
    """
    try:
        with safe_open(path, framework="pt") as archive:
            adapter = Adapter(AdapterOptions(**json.loads(archive.metadata()[_HEADER])["options"]))
        adapter.load_state_dict(
            {name: value.float() for name, value in safetensors.torch.load_file(path).items() if not name.startswith(TUNED_KINDS)}
        )
    except (OSError, SafetensorError, KeyError, TypeError, ValueError, RuntimeError, OptionsError) as error:
        raise ExportError(f"{path} is not an adapter of redvillm ({error}); train one with 'redvillm train'") from error
    return adapter.eval()


def load_tuning(path: Path) -> LanguageTuning:
    """Read the tuning of the LLM that an adapter file holds, as float32; empty when it holds none.

    Raises:
        ExportError: no such file, or not an adapter.
    """
    try:
        values = safetensors.torch.load_file(path)
    except (OSError, SafetensorError) as error:
        raise ExportError(f"{path} is not an adapter of redvillm ({error}); train one with 'redvillm train'") from error
    found: dict[str, dict[str, FloatArray]] = {kind: {} for kind in TUNED_KINDS}
    for name, value in values.items():
        kind, _, tensor = name.partition(".")
        if kind in found:
            found[kind][tensor] = value.float().numpy()
    return LanguageTuning(**found)


def _unit(x: Tensor) -> Tensor:
    """Root mean square 1 over the last axis; squares are taken in float32, float16 holds none of values above 255."""
    wide = x.float()
    return (wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + 1e-6)).to(x.dtype)
