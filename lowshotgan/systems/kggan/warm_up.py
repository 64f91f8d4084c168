"""An optional stage before the adversarial one: the generator learns to redraw seen images from codes of their outlines.

    image -> outlines -> principal components -> latent;  (latent, category) -> generator -> image

It is no part of the paper. A small budget of adversarial training is otherwise spent on learning to draw at all. The codes
are read off outlines rather than colours, so that the category must tell the colours.
"""

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lowshotgan.data.categories import CategorySet
from lowshotgan.data.images import from_uint8
from lowshotgan.losses.reconstruction import pyramid_error
from lowshotgan.systems.kggan.config import KGGANTraining
from lowshotgan.systems.kggan.generator import KnowledgeGenerator
from lowshotgan.types import Batch, Batches, ParamGroup, Phase, Stage

FITTED = 4000
"""At most this many images are used to find the components."""
SIDE = 32
"""Outlines are taken at this many pixels a side."""
CONTRAST = 0.1
"""A step of luminance of this size counts half of the strongest."""
CODE_NOISE = 0.1
"""Standard deviation of the noise on codes: neighbouring latents draw similar images."""


def outlines(images: Tensor) -> Tensor:
    """``(B, 3, R, R)`` in [-1, 1] to ``(B, P)``: where luminance changes, hardly depending on by how much."""
    grey = F.adaptive_avg_pool2d(images.mean(dim=1, keepdim=True), min(SIDE, images.shape[-1]))
    steps = [grey.diff(dim=dim).abs().flatten(1) for dim in (2, 3)]
    return torch.cat([step / (step + CONTRAST) for step in steps], dim=1)


class OutlineCodes(nn.Module):
    """Codes ``(B, dim)`` with mean 0 and variance 1 in every component: whitened principal components of outlines.

    Args:
        images: the components are those of ``FITTED`` of them, evenly spaced.
        dim: length of a code; with fewer images than that the last components are 0.
    """

    mean: Tensor
    basis: Tensor

    def __init__(self, images: CategorySet, dim: int) -> None:
        super().__init__()
        rows = torch.arange(0, len(images), max(1, len(images) // FITTED))
        lines = torch.cat([outlines(from_uint8(images.images.uint8(part))) for part in rows.split(256)])
        used = max(1, min(dim, *lines.shape))
        mean = lines.mean(dim=0)
        _, _, basis = torch.pca_lowrank(lines, q=used, niter=3)
        spread = ((lines - mean) @ basis).std(dim=0).clamp(min=1e-4)
        self.register_buffer("mean", mean)
        self.register_buffer("basis", F.pad(basis / spread, (0, dim - used)))

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        codes: Tensor = (outlines(images) - self.mean) @ self.basis
        return codes


class Redrawing:
    """How far the network is from redrawing seen images from their codes.

    Args:
        generator: what the network belongs to.
        images: of the seen categories.
        seen: their rows in the table, in the order of the labels.
        seed: of the randomised decomposition.
    """

    def __init__(
        self, generator: KnowledgeGenerator, images: CategorySet, seen: Sequence[int], *, seed: int = 0
    ) -> None:
        device = generator.table.vectors.device
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.codes = OutlineCodes(images, generator.z_dim).to(device)
        self.generator, self.rows = generator, torch.tensor(seen, device=device)

    def __call__(self, network: nn.Module, batch: Batch) -> Tensor:
        """``(B,)`` errors of ``network`` on the batch."""
        wanted = batch.images["images"]
        latents = self.codes(wanted)
        latents = latents + CODE_NOISE * batch.draws.normal(*latents.shape)
        drawn = self.generator.seen(latents, self.rows[batch.images["labels"]], network=network)
        return pyramid_error(drawn, wanted)


def warm_up_stage(live: nn.Module, redrawing: Redrawing, batches: Batches, training: KGGANTraining) -> Stage:
    """One stage that trains ``live``, whose average is ``generator.network``, to redraw images."""

    def terms(batch: Batch) -> Mapping[str, Tensor]:
        return {"redrawing": redrawing(live, batch)}

    return Stage(
        name="warm_up",
        steps=training.warm_up_steps,
        batches=batches,
        groups={
            "generator": ParamGroup(list(live.parameters()), lr=training.warm_up_lr, betas=(0.9, 0.99), decay=0.3)
        },
        phases=[Phase("warm_up", "generator", terms, {"redrawing": 1.0})],
        modules={"generator": live},
        averages={"generator": (live, redrawing.generator.network)},
        ema_half_life=50.0,
    )
