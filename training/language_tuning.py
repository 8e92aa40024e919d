"""What is trained inside the LLM: factors of rows, shifts of block minimums and changes of norms (see redvillm.export.tuning).

The 4-bit values themselves stay frozen. Knows transformers' Llama; does not know the adapter or the loss.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import LlamaForCausalLM

from redvillm.export.gguf import FINAL_NORM, layer_tensor
from redvillm.export.layer_parts import PARTS
from redvillm.export.quantization import BLOCK
from redvillm.export.tuning import TUNED_KINDS, FloatArray, LanguageTuning


class TunedLinear(nn.Module):
    """A frozen linear layer, [..., in] -> [..., out], with a trained factor of every row and, if wanted, shifts of the block minimums."""

    def __init__(self, linear: nn.Linear, *, shifts: bool) -> None:
        super().__init__()
        self.linear = linear
        self.row_scale = nn.Parameter(torch.zeros(linear.out_features))
        self.minimum_shift = nn.Parameter(torch.zeros(linear.out_features, linear.in_features // BLOCK)) if shifts else None

    def forward(self, x: Tensor) -> Tensor:
        """Parameters are float32, products in the dtype of x."""
        y: Tensor = self.linear(x) * (1 + self.row_scale).to(x.dtype)
        if self.minimum_shift is not None:
            y = y + functional.linear(x.reshape(*x.shape[:-1], -1, BLOCK).sum(-1), self.minimum_shift.to(x.dtype))
        return y


class TunedNorm(nn.Module):
    """A frozen RMS norm with a trained change of its weights."""

    def __init__(self, weight: Tensor, epsilon: float) -> None:
        super().__init__()
        self.register_buffer("weight", weight.detach().float())
        self.epsilon = epsilon
        self.change = nn.Parameter(torch.zeros(len(weight)))

    def forward(self, x: Tensor) -> Tensor:
        """Normalize in float32."""
        values = x.float()
        normed = values * torch.rsqrt(values.square().mean(-1, keepdim=True) + self.epsilon)
        weight = self.get_buffer("weight") * (1 + self.change)
        return (normed * weight).to(x.dtype)


class TrainedLanguage:
    """The trained parts of an LLM, which they replace in place."""

    def __init__(self, llm: LlamaForCausalLM, *, shifts: bool = False) -> None:
        """Freeze the LLM and put the trained parts in."""
        llm.requires_grad_(False)
        self._linears: dict[str, TunedLinear] = {}
        self._norms: dict[str, TunedNorm] = {}
        for index, layer in enumerate(llm.model.layers):
            for part, path in PARTS.items():
                self._replace(layer, path, layer_tensor(index, part), shifts=shifts)
        self._replace(llm.model, "norm", FINAL_NORM, shifts=shifts)

    def parameters(self) -> dict[str, nn.Parameter]:
        """Return the trained parameters, float32, by kind and name of the GGUF tensor."""
        found = {f"row_scales.{name}": module.row_scale for name, module in self._linears.items()}
        found |= {f"minimum_shifts.{name}": module.minimum_shift for name, module in self._linears.items() if module.minimum_shift is not None}
        return found | {f"norms.{name}": module.change for name, module in self._norms.items()}

    def switch(self, *, on: bool) -> None:
        """Train the parts, or hold them as they are."""
        for parameter in self.parameters().values():
            parameter.requires_grad_(on)

    def load(self, values: LanguageTuning) -> None:
        """Set the parts that have a value."""
        given = {f"{kind}.{name}": value for kind in TUNED_KINDS for name, value in getattr(values, kind).items()}
        parameters = self.parameters()
        with torch.no_grad():
            for name, value in given.items():
                parameters[name].copy_(torch.from_numpy(value))

    def values(self) -> LanguageTuning:
        """Return what was learned."""
        found: dict[str, dict[str, FloatArray]] = {kind: {} for kind in TUNED_KINDS}
        for key, parameter in self.parameters().items():
            kind, _, name = key.partition(".")
            found[kind][name] = parameter.detach().numpy().copy()
        return LanguageTuning(**found)

    def _replace(self, root: nn.Module, path: str, name: str, *, shifts: bool) -> None:
        parent_path, _, last = path.rpartition(".")
        parent = root.get_submodule(parent_path) if parent_path else root
        old = parent.get_submodule(last)
        if isinstance(old, nn.Linear):
            self._linears[name] = TunedLinear(old, shifts=shifts)
            setattr(parent, last, self._linears[name])
        else:
            self._norms[name] = TunedNorm(old.get_parameter("weight"), float(old.variance_epsilon))  # type: ignore[arg-type]
            setattr(parent, last, self._norms[name])
