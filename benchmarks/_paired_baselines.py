"""What the paired systems are compared with, in plain torch on GenHo's networks; see ``paired.py``.

    scratch       a GAN on the K shots alone                              (Teng, Chen and Chiu, ICASSP 2021, released code)
    finetune      the same, its generator begun as the source generator
    finetune_gd   the same, its discriminator begun as the source discriminator too
    cogan         two generators that share their first layers, two discriminators that share their last ones; source
                  images in one domain, shots in the other               (Liu and Tuzel, NeurIPS 2016)
    unit          variational autoencoders of both domains with shared latents, on CoGAN's networks, and a squared loss that
                  uses the pairs                                           (Liu, Breuel and Kautz, NeurIPS 2017)

Each yields itself at several numbers of steps, so that the best of them can be taken. The first three have no use for
partners: the source twin of a latent is what the source generator makes of it. docs/benchmarks/paired.md says what differs
from their releases.
"""

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from lowshotgan.data.streams import RowBatches
from lowshotgan.losses.adversarial import hinge_discriminator, hinge_generator
from lowshotgan.losses.codes import divergence_from_normal
from lowshotgan.nets.batch_norm import recompute_batch_norm
from lowshotgan.nets.genho import AppearanceGenerator, ContentGenerator, make_discriminator
from lowshotgan.nets.lado import Encoder
from lowshotgan.nets.residual import ResidualDiscriminator
from lowshotgan.systems.genho.system import GenHo

LR = 2e-4
PATCH_SIDE = 8
OWN_BLOCKS = 2
KL_WEIGHT = 1e-3
ADVERSARIAL_WEIGHT = 0.1
STATISTICS = 1000

Draw = Callable[[Tensor], tuple[Tensor, Tensor]]
"""From latents ``(B, z_dim)`` to source and target images ``(B, 3, R, R)`` in [-1, 1]."""


class Task(NamedTuple):
    """What a baseline learns from.

    Attributes:
        base: GenHo's source model.
        images: source images ``(N, 3, R, R)`` uint8.
        pairs: ``source`` and ``target``, ``(K, 3, R, R)`` uint8 each.
        steps: when to stop and be scored, rising.
        seed: of everything random.
        batch: images per step and domain.
    """

    base: GenHo
    images: Tensor
    pairs: Mapping[str, Tensor]
    steps: Sequence[int]
    seed: int
    batch: int = 16


class PatchJudge(nn.Module):
    """The image logit of a residual discriminator, and one per place of its 8 x 8 map."""

    def __init__(self, trunk: ResidualDiscriminator, resolution: int) -> None:
        super().__init__()
        self.trunk = trunk
        self.level = (resolution // PATCH_SIDE).bit_length() - 2
        with torch.no_grad():
            maps = trunk.maps(torch.zeros(1, 3, resolution, resolution))
        self.to_patches = nn.Conv2d(maps[self.level].shape[1], 1, 1)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Logits ``(B, 1, 8, 8)`` and ``(B, 1)``."""
        maps = self.trunk.maps(images)
        return self.to_patches(maps[self.level]), self.trunk.judge(maps[-1])


class Coupled(nn.Module):
    """CoGAN's generators: shared up to 16 x 16 (8 x 8 for images of 16), then one per domain."""

    def __init__(self, base: GenHo) -> None:
        super().__init__()
        config = base.config
        widths = {"width_base": config.width_base, "width_max": config.width_max}
        cut = min(16, config.resolution // 2)
        self.shared = ContentGenerator(cut, z_dim=config.z_dim, **widths)
        self.own = nn.ModuleList(AppearanceGenerator(config.resolution, cut, **widths) for _ in range(2))

    def forward(self, latents: Tensor) -> tuple[Tensor, Tensor]:
        """Source and target images."""
        content = self.shared(latents)
        return self.own[0](content), self.own[1](content)

    def draw(self, latents: Tensor, domain: int) -> Tensor:
        """Images of domain 0 (source) or 1 (target)."""
        return self.own[domain](self.shared(latents))


def scratch(task: Task) -> Iterator[tuple[int, Draw]]:
    """Both networks begin from nothing."""
    generator = nn.Sequential(*_new_generator(task.base))
    return _on_shots(task, generator, _new_trunk(task.base))


def finetune(task: Task) -> Iterator[tuple[int, Draw]]:
    """The generator begins as the source generator."""
    return _on_shots(task, _source_generator(task.base), _new_trunk(task.base))


def finetune_gd(task: Task) -> Iterator[tuple[int, Draw]]:
    """Both begin as those of the source."""
    return _on_shots(task, _source_generator(task.base), copy.deepcopy(task.base.need_judges().source))


def cogan(task: Task) -> Iterator[tuple[int, Draw]]:
    """Source images and shots, each judged in their own domain; partners are not used."""
    generator, judges = Coupled(task.base), _coupled_judges(task.base)
    optimizers = _adam(generator.parameters(), (0.0, 0.9)), _adam(_all_parameters(judges), (0.0, 0.9))
    streams = _streams(task)
    for step in range(1, task.steps[-1] + 1):
        real = _batch(streams)
        fakes = generator(torch.randn(task.batch, task.base.z_dim))
        _step(optimizers[1], _judged(judges, real[:2], [fake.detach() for fake in fakes]))
        _step(
            optimizers[0], sum(hinge_generator(judge(fake)).mean() for judge, fake in zip(judges, fakes, strict=True))
        )
        if step in task.steps:
            yield step, _settled(generator, task)


def unit(task: Task) -> Iterator[tuple[int, Draw]]:
    """Autoencoders of both domains; pairs are redrawn in each other's domain."""
    generator, judges = Coupled(task.base), _coupled_judges(task.base)
    encoders = _coupled_encoders(task.base)
    weights = [*generator.parameters(), *_all_parameters(encoders)]
    optimizers = _adam(weights, (0.0, 0.9)), _adam(_all_parameters(judges), (0.0, 0.9))
    streams = _streams(task)
    for step in range(1, task.steps[-1] + 1):
        images, targets, partners = _batch(streams)
        codes = [encoder(part) for encoder, part in zip(encoders, (images, targets), strict=True)]
        samples = [code.sample(torch.randn_like(code.mean)) for code in codes]
        redrawn = [generator.draw(sample, domain) for domain, sample in enumerate(samples)]
        noise = generator(torch.randn(task.batch, task.base.z_dim))
        _step(optimizers[1], _judged(judges, (images, targets), [fake.detach() for fake in noise]))
        across = [(0, encoders[1](targets), partners), (1, encoders[0](partners), targets)]
        loss = sum((one - real).abs().mean() for one, real in zip(redrawn, (images, targets), strict=True))
        loss = loss + sum((generator.draw(code.mean, domain) - real).square().mean() for domain, code, real in across)
        loss = loss + KL_WEIGHT * sum(divergence_from_normal(*code).mean() for code in codes)
        fooled = sum(hinge_generator(judge(fake)).mean() for judge, fake in zip(judges, noise, strict=True))
        _step(optimizers[0], loss + ADVERSARIAL_WEIGHT * fooled)
        if step in task.steps:
            yield step, _settled(generator, task)


BASELINES: dict[str, Callable[[Task], Iterator[tuple[int, Draw]]]] = {
    "scratch": scratch,
    "finetune": finetune,
    "finetune_gd": finetune_gd,
    "cogan": cogan,
    "unit": unit,
}


def run_baseline(name: str, task: Task) -> Iterator[tuple[int, Draw]]:
    """The baseline called so, at each number of steps; the caller's random state is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(task.seed)
        yield from BASELINES[name](task)


def _on_shots(task: Task, generator: nn.Module, trunk: ResidualDiscriminator) -> Iterator[tuple[int, Draw]]:
    judge = PatchJudge(trunk, task.base.config.resolution).requires_grad_(True).train()
    generator.requires_grad_(True).train()
    optimizers = _adam(generator.parameters(), (0.5, 0.9)), _adam(judge.parameters(), (0.5, 0.9))
    shots = RowBatches({"target": task.pairs["target"]}, task.batch, seed=task.seed)
    source = _source_generator(task.base).eval()
    for step in range(1, task.steps[-1] + 1):
        fake = generator(torch.randn(task.batch, task.base.z_dim))
        logits = zip(judge(next(shots)["target"]), judge(fake.detach()), strict=True)
        _step(optimizers[1], 0.5 * sum(hinge_discriminator(*pair).mean() for pair in logits))
        _step(optimizers[0], 0.5 * sum(hinge_generator(logit).mean() for logit in judge(fake)))
        if step in task.steps:
            recompute_batch_norm(generator, z_dim=task.base.z_dim, samples=STATISTICS)
            yield step, lambda latents: (source(latents), generator(latents))
            generator.train()


def _settled(generator: Coupled, task: Task) -> Draw:
    """A copy that draws, with batch-norm statistics of its own."""
    found = copy.deepcopy(generator)
    recompute_batch_norm(found, z_dim=task.base.z_dim, samples=STATISTICS)
    return found


def _new_generator(base: GenHo) -> tuple[nn.Module, nn.Module]:
    config = base.config
    widths = {"width_base": config.width_base, "width_max": config.width_max}
    content = ContentGenerator(config.side, z_dim=config.z_dim, **widths)
    return content, AppearanceGenerator(config.resolution, config.side, **widths)


def _source_generator(base: GenHo) -> nn.Module:
    return copy.deepcopy(nn.Sequential(base.generator.content.source, base.generator.image.source))


def _new_trunk(base: GenHo) -> ResidualDiscriminator:
    config = base.config
    return make_discriminator(config.resolution, width_base=config.width_base, width_max=config.width_max)


def _coupled_judges(base: GenHo) -> list[ResidualDiscriminator]:
    """One discriminator per domain; all but the first two blocks are the same modules."""
    judges = [_new_trunk(base) for _ in range(2)]
    _share_last(judges[0].blocks, judges[1].blocks)
    judges[1].to_logit = judges[0].to_logit
    return judges


def _coupled_encoders(base: GenHo) -> list[Encoder]:
    """One encoder per domain; all but the first two blocks are the same modules."""
    width = base.config.width_base // 16
    encoders = [Encoder(base.config.resolution, code_dim=base.z_dim, width=width) for _ in range(2)]
    _share_last(encoders[0].blocks, encoders[1].blocks)
    encoders[1].to_mean, encoders[1].to_log_variance = encoders[0].to_mean, encoders[0].to_log_variance
    return encoders


def _share_last(first: nn.Module, second: nn.Module) -> None:
    for number in range(OWN_BLOCKS, len(first)):
        second[number] = first[number]


def _streams(task: Task) -> tuple[RowBatches, RowBatches]:
    images = RowBatches({"images": task.images}, task.batch, seed=task.seed)
    return images, RowBatches(task.pairs, task.batch, seed=task.seed)


def _batch(streams: tuple[RowBatches, RowBatches]) -> tuple[Tensor, Tensor, Tensor]:
    """Source images, targets and the partners of the targets."""
    pairs = next(streams[1])
    return next(streams[0])["images"], pairs["target"], pairs["source"]


def _judged(judges: Sequence[nn.Module], real: Sequence[Tensor], fakes: Sequence[Tensor]) -> Tensor:
    parts = zip(judges, real, fakes, strict=True)
    return torch.stack([hinge_discriminator(judge(one), judge(fake)).mean() for judge, one, fake in parts]).sum()


def _all_parameters(networks: Sequence[nn.Module]) -> list[nn.Parameter]:
    return list(nn.ModuleList(networks).parameters())


def _adam(parameters, betas: tuple[float, float]) -> torch.optim.Adam:
    return torch.optim.Adam(parameters, lr=LR, betas=betas)


def _step(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    """One step; gradients that the loss leaves in other networks are cleared before those are stepped."""
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()
