"""Projection: the styles that redraw a given image, found by optimisation (Karras et al. 2020, section 5)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor
from tqdm import tqdm

from lowshotgan.checks import whole
from lowshotgan.data.images import to_pil
from lowshotgan.nets.stylegan2 import Generator

LEARNING_RATE = 0.1
AVERAGE_OVER = 2000


@dataclass(frozen=True)
class Projection:
    """Styles found for an image.

    Attributes:
        ws: ``(1, L, w_dim)`` styles, to be passed to ``generate(latents=...)``.
        tensor: ``(1, 3, R, R)`` in [-1, 1], what they draw.
        target: ``(1, 3, R, R)`` in [-1, 1], what was asked for.
        distance: what is left: mean squared difference over a pyramid of resolutions.
        history: the distance after each step.
    """

    ws: Tensor
    tensor: Tensor
    target: Tensor
    distance: float
    history: Sequence[float]

    @property
    def image(self) -> Image.Image:
        """What the styles draw."""
        return to_pil(self.tensor)[0]


def project_image(
    generator: Generator, target: Tensor, *, steps: int = 300, seed: int = 0, progress: bool = False
) -> Projection:
    """Optimise one style per layer from the average style; noise on the styles fades out over 3/4 of the steps.

    Args:
        generator: held fixed; no gradients are left in it.
        target: ``(1, 3, R, R)`` in [-1, 1].
        steps: of Adam, learning rate 0.1 with ramp-up and cosine decay.
        seed: of the exploring noise.
        progress: show a progress bar.
    """
    steps = whole("steps", steps)
    random = torch.Generator().manual_seed(whole("seed", seed, 0))
    with torch.no_grad():
        samples = generator.mapping(torch.randn(AVERAGE_OVER, generator.z_dim, generator=random).to(target.device))
    mean, spread = samples.mean(dim=0), (samples - samples.mean(dim=0)).square().sum(dim=1).mean().sqrt()
    ws = mean.expand(1, generator.num_ws, -1).clone().requires_grad_(True)
    optimizer = torch.optim.Adam([ws], lr=LEARNING_RATE)
    history: list[float] = []
    best, best_ws = math.inf, ws.detach().clone()
    for step in tqdm(range(steps), desc="project", disable=not progress, leave=False):
        done = step / steps
        optimizer.param_groups[0]["lr"] = LEARNING_RATE * min(1, (1 - done) / 0.25, done / 0.05 + 1e-2)
        strength = spread * 0.05 * max(0.0, 1 - done / 0.75) ** 2
        tried = ws + torch.randn(ws.shape, generator=random).to(ws.device) * strength
        loss = pyramid_distance(generator.synthesis(tried, noise="const"), target)
        history.append(float(loss.detach()))
        if history[-1] < best:
            best, best_ws = history[-1], tried.detach().clone()
        (ws.grad,) = torch.autograd.grad(loss, ws)
        optimizer.step()
    with torch.no_grad():
        drawn = generator.synthesis(best_ws, noise="const")
        left = float(pyramid_distance(drawn, target))
    return Projection(best_ws.cpu(), drawn.cpu(), target.cpu(), left, history)


def pyramid_distance(images: Tensor, target: Tensor) -> Tensor:
    """``()`` mean squared difference, averaged over resolutions down to 8 px: coarse layout counts as much as pixels."""
    terms = [F.mse_loss(images, target)]
    while images.shape[-1] > 8:
        images, target = F.avg_pool2d(images, 2), F.avg_pool2d(target, 2)
        terms.append(F.mse_loss(images, target))
    return torch.stack(terms).mean()
