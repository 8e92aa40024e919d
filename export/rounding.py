"""Weights to 8-bit codes such that a layer's outputs change least, not its weights.

Rounding goes column by column; the error of each column is made good by the columns not yet rounded, weighted by the inputs seen in calibration
(GPTQ, arXiv 2210.17323). Knows matrices only; does not know graphs or layers.
"""

import torch
from torch import Tensor

CODE_LIMIT = 127
_DAMPING = 0.01  # of the mean of the Hessian's diagonal
_SHRINKAGES = 16
_BLOCK = 128
_MAX_COLUMNS = 4096  # that see each other's errors: the Hessian has their square, and a connector of 12,288 inputs would take 6 GB
_SMALLEST_SHRINKAGE = 0.6


def round_weights(weights: Tensor, inputs: Tensor) -> tuple[Tensor, Tensor]:
    """Return codes int8 [G, out, in] and scales float32 [G, out], one scale a row; weight = code * scale.

    Args:
        weights: float [G, out, in]; G groups that do not see each other's inputs.
        inputs: float [G, in, samples], what the layer really gets (already quantized).
    """
    weights, inputs = weights.double(), inputs.double()
    power = inputs.square().sum(2)
    mean = power.mean(1, keepdim=True)
    damping = _DAMPING * mean + torch.where(mean == 0, 1.0, 0.0)  # an input that is always zero must not make the Hessian singular
    scales = _best_scales(weights, power + damping)
    codes = torch.empty_like(weights)
    for group in range(len(weights)):
        for some in torch.split(torch.arange(weights.shape[2]), _MAX_COLUMNS):
            columns = some[torch.argsort(power[group, some], descending=True, stable=True)]
            rows = inputs[group, columns]
            hessian = rows @ rows.T
            hessian.diagonal().add_(damping[group])
            codes[group][:, columns] = _round_columns(weights[group][:, columns], scales[group], hessian)
    return codes.to(torch.int8), scales.float()


def _best_scales(weights: Tensor, importance: Tensor) -> Tensor:
    """Return the scale of each row that rounds it with the least squared error, inputs weighted by their power."""
    largest = weights.abs().amax(2).clamp_min(1e-12) / CODE_LIMIT
    best, best_error = largest, torch.full_like(largest, torch.inf)
    for shrinkage in torch.linspace(1.0, _SMALLEST_SHRINKAGE, _SHRINKAGES).tolist():
        scales = (largest * shrinkage).float().double()
        rounded = (weights / scales[..., None]).round().clamp(-CODE_LIMIT, CODE_LIMIT) * scales[..., None]
        error = ((rounded - weights).square() * importance[:, None]).sum(2)
        better = error < best_error
        best, best_error = torch.where(better, scales, best), torch.where(better, error, best_error)
    return best


def _round_columns(weights: Tensor, scales: Tensor, hessian: Tensor) -> Tensor:
    """Round [out, in] in the order of its columns; errors reach the columns of later blocks one block at a time, as one product."""
    correction = torch.linalg.cholesky(torch.cholesky_inverse(torch.linalg.cholesky(hessian)), upper=True)
    left, codes = weights.clone(), torch.empty_like(weights)
    for start in range(0, weights.shape[1], _BLOCK):
        block = slice(start, min(start + _BLOCK, weights.shape[1]))
        errors = torch.empty_like(left[:, block])
        for column in range(block.start, block.stop):
            codes[:, column] = (left[:, column] / scales).round().clamp(-CODE_LIMIT, CODE_LIMIT)
            errors[:, column - start] = (left[:, column] - codes[:, column] * scales) / correction[column, column]
            left[:, column + 1 : block.stop] -= errors[:, column - start, None] * correction[column, column + 1 : block.stop]
        left[:, block.stop :] -= errors @ correction[block, block.stop :]
    return codes
