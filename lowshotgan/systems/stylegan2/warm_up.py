"""Warm-up: teach the networks to redraw images before they compete.

    image -> principal components -> code -> w -> synthesis -> image      (stage "warm_up")
    image -> discriminator trunk -> head -> code                          (stage "judge")
    noise -> flow -> code distributed as the codes of the images          (stage "flow")
    z -> mapping -> w of the code that the flow makes of z                (stage "prior")

A GAN trained from scratch spends most of a small budget on learning to draw at all. Here the synthesis network first
learns to redraw images from codes that need no learning, their principal components (as Bojanowski et al., "Optimizing
the Latent Space of Generative Networks", ICML 2018, start theirs), and the discriminator's trunk learns to read the codes
off the images. A small flow (Lipman et al., ICLR 2023) then learns how the codes are distributed, from noise and codes
that optimal transport has paired, and the mapping network learns to do in one step what the flow does in many.
Adversarial training so starts from soft but whole and varied images and from useful features.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lowshotgan.data.dataset import ImageSet
from lowshotgan.data.images import from_uint8
from lowshotgan.losses.reconstruction import pyramid_error
from lowshotgan.losses.transport import transport_partners
from lowshotgan.nets.code_flow import CodeFlow
from lowshotgan.nets.feature_heads import FeatureHeads
from lowshotgan.nets.stylegan2 import Discriminator, Generator, unit_latents
from lowshotgan.systems.stylegan2.config import SourceTraining
from lowshotgan.systems.stylegan2.principal_codes import PrincipalCodes
from lowshotgan.systems.stylegan2.stages import average_of
from lowshotgan.types import Batch, Batches, ParamGroup, Phase, Stage

CODE_NOISE = 0.05
"""Standard deviation of the noise on codes, whose own is near 1: neighbouring codes draw similar images."""
JUDGE_STEPS, FLOW_STEPS, PRIOR_STEPS = 1500, 6000, 40_000
"""Each at most; short warm-ups take as many steps for the judge, and four times as many for flow and prior."""
FLOW_BATCH, PRIOR_BATCH = 512, 512
PAIRS, PAIR_USES = 200_000, 16
"""At most this many latents are sent through the flow to teach the mapping network, each of them used so often."""
FLOW_LR = 1e-3
PRIOR_LR = 0.3
"""The mapping network's weights are stored a hundred times larger than they act, so its steps must be large too."""


class WarmUp:
    """The four stages, and what lies between them.

    Args:
        generator: live; its synthesis network, then its mapping network is trained.
        averaged: the running average of ``generator``.
        discriminator: its trunk is trained.
        heads: if given, its frozen maps add a perceptual distance.
        images: what is redrawn.
        training: gives learning rates and the distance's weight.
        seed: of the new layers and of the latents the mapping network is taught with.
    """

    def __init__(
        self,
        generator: Generator,
        averaged: Generator,
        discriminator: Discriminator,
        heads: FeatureHeads | None,
        images: ImageSet,
        training: SourceTraining,
        *,
        seed: int = 0,
    ) -> None:
        self.generator, self.averaged, self.discriminator = generator, averaged, discriminator
        self.heads, self.training, self.seed = heads, training, seed
        self.weights = {"reconstruction": 1.0, "perceptual": training.feature_weight}
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.codes = PrincipalCodes(images)
            self.embed = nn.Linear(self.codes.dim, generator.w_dim, bias=False)
            nn.init.orthogonal_(self.embed.weight)
            self.head = nn.Linear(discriminator.b4.fc.weight.shape[0], self.codes.dim)
            self.flow = CodeFlow(self.codes.dim)
        for part in (self.codes, self.embed, self.head, self.flow):
            part.to(next(generator.parameters()).device)

    def redrawing_stage(self, batches: Batches) -> Stage:
        """Train the synthesis network, and how codes become styles, to redraw images."""
        params = [*self.generator.synthesis.parameters(), *self.embed.parameters()]
        return Stage(
            name="warm_up",
            steps=self.training.warm_up_steps,
            batches=batches,
            groups={"decoder": ParamGroup(params, lr=self.training.warm_up_lr, betas=(0.9, 0.99), decay=0.5)},
            phases=[
                Phase(
                    "warm_up",
                    "decoder",
                    self.redrawing_terms,
                    self.weights,
                )
            ],
            modules=self._modules(),
            averages={"generator": (self.generator, self.averaged)},
            ema_half_life=50.0,
        )

    def redrawing_terms(self, batch: Batch) -> Mapping[str, Tensor]:
        """How far redrawn images are from the given ones; ``(B,)`` each."""
        codes = self.codes(batch.images)
        return self._distances(codes + CODE_NOISE * batch.draws.normal(*codes.shape), batch.images)

    def redraw(self, images: Tensor) -> Tensor:
        """How far the generator is from redrawing images: ``(B, 3, R, R)`` in [-1, 1] to ``(B,)``."""
        distances = self._distances(self.codes(images), images)
        return torch.stack([self.weights[name] * value for name, value in distances.items()]).sum(dim=0)

    def _distances(self, codes: Tensor, images: Tensor) -> dict[str, Tensor]:
        drawn = self.generator.synthesis(self.generator.broadcast(self.embed(codes)), noise="none")
        assert isinstance(drawn, Tensor)
        distances = {"reconstruction": pyramid_error(drawn, images)}
        if self.heads is not None:
            distances["perceptual"] = map_distance(self.heads.maps(drawn), self.heads.maps(images))
        return distances

    def judge_stage(self, batches: Batches) -> Stage:
        """Train the discriminator's trunk, under a head that is discarded afterwards, to read codes off images."""

        def terms(batch: Batch) -> Mapping[str, Tensor]:
            _, features = self.discriminator(batch.images, return_features=True)
            found = self.head(features["b4.fc"])
            return {"code": (found - self.codes(batch.images)).square().mean(dim=1)}

        params = [*self.discriminator.parameters(), *self.head.parameters()]
        return Stage(
            name="judge",
            steps=min(JUDGE_STEPS, self.training.warm_up_steps),
            batches=batches,
            groups={"judge": ParamGroup(params, lr=self.training.lr, betas=(0.9, 0.99))},
            phases=[Phase("judge", "judge", terms, {"code": 1.0})],
            modules=self._modules(),
        )

    def flow_stage(self, images: ImageSet, batches: Batches) -> Stage:
        """Train the flow on the codes of all images."""
        codes, flow = self._all_codes(images), self.flow
        flow.fit_scale(codes)
        self.flow = averaged = average_of(flow)

        def terms(batch: Batch) -> Mapping[str, Tensor]:
            wanted = codes[batch.draws.integers(len(codes), FLOW_BATCH)]
            wanted = wanted + CODE_NOISE * batch.draws.normal(*wanted.shape)
            noise = self._starts(batch.draws.normal(len(wanted), self.generator.z_dim))
            cost = flow.transport_cost(wanted, noise)
            wanted = wanted[transport_partners(cost, batch.draws.uniform(len(wanted)))]
            return {"velocity": flow.velocity_error(wanted, noise, batch.draws.uniform(len(wanted)))}

        return Stage(
            name="flow",
            steps=min(FLOW_STEPS, 4 * self.training.warm_up_steps),
            batches=batches,
            groups={"flow": ParamGroup(list(flow.parameters()), lr=FLOW_LR, betas=(0.9, 0.99), decay=0.5)},
            phases=[Phase("flow", "flow", terms, {"velocity": 1.0})],
            modules=self._modules() | {"flow": flow},
            averages={"flow": (flow, averaged)},
            ema_half_life=200.0,
        )

    def prior_stage(self, batches: Batches, *, preview: Callable[[], Tensor] | None = None) -> Stage:
        """Fit the mapping network to what the trained flow makes of z, on pairs that are made once."""
        mapping = self.generator.mapping
        steps = min(PRIOR_STEPS, 4 * self.training.warm_up_steps)
        count = min(PAIRS, steps * PRIOR_BATCH // PAIR_USES)
        pairs = cache(lambda: self._pairs(count))  # none for a run that is past this stage

        def terms(batch: Batch) -> Mapping[str, Tensor]:
            latents, styles = pairs()
            chosen = batch.draws.integers(len(latents), PRIOR_BATCH)
            found, wanted = mapping(latents[chosen]), styles[chosen]
            mapping.track(found.detach().mean(dim=0, keepdim=True))
            return {"fit": (found - wanted).square().mean(dim=1)}

        return Stage(
            name="prior",
            steps=steps,
            batches=batches,
            groups={"mapping": ParamGroup(list(mapping.parameters()), lr=PRIOR_LR, betas=(0.9, 0.99), decay=0.5)},
            phases=[Phase("prior", "mapping", terms, {"fit": 1.0})],
            modules=self._modules(),
            averages={"generator": (self.generator, self.averaged)},
            ema_half_life=50.0,
            preview=preview,
        )

    @torch.no_grad()
    def _pairs(self, count: int) -> tuple[Tensor, Tensor]:
        """``count`` latents z and the styles that the flow makes of them."""
        stream = torch.Generator().manual_seed(self.seed)
        device = self.embed.weight.device
        latents = torch.randn(count, self.generator.z_dim, generator=stream).to(device)
        with torch.autocast(device.type, enabled=False):
            return latents, torch.cat([self.embed(self.flow(part)) for part in self._starts(latents).split(1024)])

    def _starts(self, latents: Tensor) -> Tensor:
        """Where the flow starts from for latents ``(B, z_dim)``: their first coordinates, or all and zeros."""
        unit = unit_latents(latents)
        return F.pad(unit, (0, max(0, self.codes.dim - unit.shape[1])))[:, : self.codes.dim]

    @torch.no_grad()
    def _all_codes(self, images: ImageSet) -> Tensor:
        device = next(self.generator.parameters()).device
        parts = torch.arange(len(images)).split(256)
        return torch.cat([self.codes(from_uint8(images.uint8(part)).to(device)) for part in parts])

    def _modules(self) -> dict[str, nn.Module]:
        return {
            "generator": self.generator,
            "discriminator": self.discriminator,
            "codes": self.codes,
            "embed": self.embed,
            "head": self.head,
        }


def map_distance(drawn: Sequence[Tensor], wanted: Sequence[Tensor]) -> Tensor:
    """``(B,)`` squared difference of unit-length feature vectors, averaged over positions and scales; in [0, 4]."""
    differences = [
        (F.normalize(a, dim=1) - F.normalize(b, dim=1)).square().sum(dim=1).mean(dim=(1, 2))
        for a, b in zip(drawn, wanted, strict=True)
    ]
    return torch.stack(differences).mean(dim=0)
