"""An exponential moving average of weights, which is exported in place of the last ones."""

import copy

import torch
from torch import nn


class MovingAverage:
    """Follows a module's weights and buffers.

    Parameters
    ----------
    module : torch.nn.Module
        At its first weights, which the average begins with.
    decay : float
        Of the average at each step, once it has warmed up: at step s it is s / (s + 10) at most, so that the first
        weights are soon forgotten.

    Attributes
    ----------
    module : torch.nn.Module
        The average, without gradients, in evaluation mode.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.decay = decay
        self.module = copy.deepcopy(module).eval().requires_grad_(False)

    @torch.no_grad()
    def update(self, module: nn.Module, step: int) -> None:
        """Move to the weights that a module has after a step, counted from 1; counters of its buffers are copied."""
        decay = min(self.decay, step / (step + 10))
        for average, value in zip(self.module.state_dict().values(), module.state_dict().values(), strict=True):
            if average.is_floating_point():
                average.lerp_(value, 1 - decay)
            else:
                average.copy_(value)
