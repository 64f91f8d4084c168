"""A small normalising flow over codes, learnt by flow matching (Lipman et al., ICLR 2023).

velocity(x_t, t) at x_t = (1 - t) * noise + t * code  is trained towards  code - noise
noise -> integrate the velocity from t = 0 to 1 -> code
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

TIME_FREQUENCIES = 16


class CodeFlow(nn.Module):
    """Noise ``(B, dim)`` to codes ``(B, dim)``.

    Args:
        dim: of a code.
        width: of the hidden layers.
        depth: number of residual layers.
        steps: of the integration, by the midpoint method.
    """

    scale: Tensor
    frequencies: Tensor

    def __init__(self, dim: int, *, width: int = 512, depth: int = 3, steps: int = 12) -> None:
        super().__init__()
        self.steps = steps
        self.first = nn.Linear(dim + 2 * TIME_FREQUENCIES, width)
        self.layers = nn.ModuleList(nn.Linear(width, width) for _ in range(depth))
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(depth))
        self.last = nn.Linear(width, dim)
        self.register_buffer("scale", torch.stack([torch.zeros(dim), torch.ones(dim)]))
        self.register_buffer("frequencies", math.pi * torch.arange(1.0, TIME_FREQUENCIES + 1.0), persistent=False)

    def forward(self, noise: Tensor) -> Tensor:
        x = noise
        for step in range(self.steps):
            time = torch.full((len(x),), step / self.steps, device=x.device)
            middle = x + self.velocity(x, time) / (2 * self.steps)
            x = x + self.velocity(middle, time + 1 / (2 * self.steps)) / self.steps
        return self.scale[0] + self.scale[1] * x

    def velocity(self, x: Tensor, time: Tensor) -> Tensor:
        """``(B, dim)`` velocity at ``x (B, dim)`` and ``time (B,)`` in [0, 1], in standardised codes."""
        angles = time[:, None] * self.frequencies
        hidden = self.first(torch.cat([x, angles.sin(), angles.cos()], dim=1))
        for layer, norm in zip(self.layers, self.norms, strict=True):
            hidden = hidden + layer(F.silu(norm(hidden)))
        velocity: Tensor = self.last(F.silu(hidden))
        return velocity

    def velocity_error(self, codes: Tensor, noise: Tensor, time: Tensor) -> Tensor:
        """``(B,)`` squared error of the velocity half-way between ``noise`` and ``codes``, at ``time``."""
        mean, deviation = self.scale
        codes = (codes - mean) / deviation
        x = torch.lerp(noise, codes, time[:, None])
        return (self.velocity(x, time) - (codes - noise)).square().mean(dim=1)

    def transport_cost(self, codes: Tensor, noise: Tensor) -> Tensor:
        """``(N, M)`` cost of carrying ``noise (N, dim)``, given the codes' own spread, to ``codes (M, dim)``.

        Half the squared distance, but for what depends on one side only.
        """
        mean, deviation = self.scale
        cost: Tensor = -(noise * deviation) @ (codes - mean).T
        return cost

    def fit_scale(self, codes: Tensor) -> None:
        """Set the mean and standard deviation by which codes ``(N, dim)`` are standardised."""
        self.scale.copy_(torch.stack([codes.mean(dim=0), codes.std(dim=0).clamp(min=1e-3)]))
