"""Networks of SyncGAN (Chen, Chen and Hu, ICME 2018): per modality a generator, a discriminator and a branch.

concept (B, c), private (B, p) -> generator of each modality -> (B, C, H, W) in [-1, 1]
(B, C, H, W) -> discriminator -> (B, 1)
both modalities -> branches -> synchronizer -> logit (B,), or (B, B) for all combinations
"""

import itertools
import math
from collections.abc import Callable, Mapping
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from lowshotgan.errors import ConfigError
from lowshotgan.systems.syncgan.config import SyncGANConfig
from lowshotgan.systems.syncgan.modalities import Modality

Shape = tuple[int, int, int]
Makers = Mapping[str, Callable[[], nn.Module]]
FEATURES = 256
TOWER = 64


class JointGenerator(nn.Module):
    """All generators behind one code: the concept first, then each modality's own part."""

    def __init__(self, config: SyncGANConfig) -> None:
        super().__init__()
        self.concept_dim, self.privates, self.z_dim = config.concept_dim, config.privates, config.z_dim
        self.uniform = config.prior == "uniform"
        self.parts = nn.ModuleDict({name: make() for name, make in makers("generator", config).items()})

    def code(self, latents: Tensor, name: str) -> Tensor:
        """The part ``(B, c + p)`` of whole codes ``(B, z_dim)`` that modality ``name`` sees."""
        return torch.cat([latents[:, : self.concept_dim], latents[:, self.private(name)]], dim=1)

    def private(self, name: str) -> slice:
        """Where in a whole code the private part of modality ``name`` is."""
        names = list(self.privates)
        start = self.concept_dim + sum(self.privates[before] for before in names[: names.index(name)])
        return slice(start, start + self.privates[name])

    def one(self, latents: Tensor, name: str) -> Tensor:
        """``(B, C, H, W)`` of one modality."""
        return self.decode(self.code(latents, name), name)

    def decode(self, code: Tensor, name: str) -> Tensor:
        """``(B, C, H, W)`` of one modality from the part ``(B, c + p)`` of the code that it sees.

        The uniform prior is what the normal distribution function makes of normal codes, so all else is blind to it.
        """
        values: Tensor = self.parts[name](torch.erf(code / math.sqrt(2)) if self.uniform else code)
        return values

    def forward(self, latents: Tensor) -> dict[str, Tensor]:
        """Every modality of whole codes: synchronous where their concept is."""
        return {name: self.one(latents, name) for name in self.parts}


class Judges(nn.Module):
    """Discriminators by modality, the synchronizer, and encoders where the configuration wants them."""

    def __init__(self, config: SyncGANConfig) -> None:
        super().__init__()
        discriminators = makers("discriminator", config)
        self.discriminators = nn.ModuleDict({name: make() for name, make in discriminators.items()})
        kind = TwoTower if config.synchronizer == "two_tower" else Concat
        self.synchronizer: TwoTower | Concat = kind(makers("branch", config))
        encoders = makers("encoder", config) if config.encoders else {}
        self.encoders = nn.ModuleDict({name: make() for name, make in encoders.items()})


class TwoTower(nn.Module):
    """S as a scaled product of unit vectors, so that all combinations of a batch cost no more than its pairs."""

    def __init__(self, branches: Makers) -> None:
        super().__init__()
        ends = {name: nn.Linear(FEATURES, TOWER) for name in branches}
        self.towers = nn.ModuleDict(
            {name: nn.Sequential(make(), nn.ReLU(), ends[name]) for name, make in branches.items()}
        )
        self.log_scale = nn.Parameter(torch.tensor(2.3))
        self.offset = nn.Parameter(torch.tensor(-5.0))

    def embed(self, values: Tensor, name: str) -> Tensor:
        """``(B, 64)`` unit vectors."""
        return F.normalize(self.towers[name](values), dim=1)

    def forward(self, first: Tensor, second: Tensor, names: tuple[str, str]) -> Tensor:
        """Logits ``(B,)`` of pairs."""
        product = (self.embed(first, names[0]) * self.embed(second, names[1])).sum(dim=1)
        return self.log_scale.exp() * product + self.offset

    def combinations(self, first: Tensor, second: Tensor, names: tuple[str, str]) -> Tensor:
        """Logits ``(B, B)`` of every first with every second."""
        product = self.embed(first, names[0]) @ self.embed(second, names[1]).T
        return self.log_scale.exp() * product + self.offset


class Concat(nn.Module):
    """S as released: a branch for each modality, and for each pair of modalities two layers on both features."""

    def __init__(self, branches: Makers) -> None:
        super().__init__()
        self.branches = nn.ModuleDict({name: make() for name, make in branches.items()})
        self.heads = nn.ModuleDict(
            {
                f"{a}-{b}": nn.Sequential(nn.Linear(2 * FEATURES, FEATURES), nn.ReLU(), nn.Linear(FEATURES, 1))
                for a, b in itertools.combinations(branches, 2)
            }
        )

    def embed(self, values: Tensor, name: str) -> Tensor:
        """``(B, 256)`` features."""
        features: Tensor = F.relu(self.branches[name](values))
        return features

    def forward(self, first: Tensor, second: Tensor, names: tuple[str, str]) -> Tensor:
        """Logits ``(B,)`` of pairs."""
        return self._rate(self.embed(first, names[0]), self.embed(second, names[1]), names)

    def combinations(self, first: Tensor, second: Tensor, names: tuple[str, str]) -> Tensor:
        """Logits ``(B, B)`` of every first with every second."""
        a, b = self.embed(first, names[0]), self.embed(second, names[1])
        logits = self._rate(a.repeat_interleave(len(b), dim=0), b.repeat(len(a), 1), names)
        return logits.view(len(a), len(b))

    def _rate(self, first: Tensor, second: Tensor, names: tuple[str, str]) -> Tensor:
        key = "-".join(names)
        if key not in self.heads:
            key, first, second = f"{names[1]}-{names[0]}", second, first
        logits: Tensor = self.heads[key](torch.cat([first, second], dim=1))[:, 0]
        return logits


def makers(role: str, config: SyncGANConfig) -> Makers:
    """For each modality what makes its network: "generator", "discriminator", "branch" or "encoder"."""
    codes = {name: config.concept_dim + private for name, private in config.privates.items()}
    return {name: partial(make_network, role, m, codes[name], config) for name, m in config.parsed.items()}


def make_network(role: str, modality: Modality, code: int, config: SyncGANConfig) -> nn.Module:
    """What the modality builds for a role by itself, or else the network of the preset for its shape.

    Raises:
        ConfigError: if there is neither.
    """
    build = getattr(modality, "build", None)
    own: nn.Module | None = build(role, code) if build is not None else None
    if own is not None:
        return own
    shape = modality.shape
    if shape[1] != shape[2] or shape[1] not in (1, 16, 28, 32, 64):
        raise ConfigError(
            f"there is no {role} for {modality.spec!r} of shape {shape}; let its build({role!r}, code) return one, or give "
            "it the shape of a vector (C, 1, 1) or of a square of 16, 28, 32 or 64."
        )
    if role == "generator":
        return make_generator(shape, code, config)
    if role == "discriminator":
        return make_discriminator(shape, config)
    return branch(shape, config.synchronizer_width) if role == "branch" else make_encoder(shape, code, config.width)


def branches_for(shapes: Mapping[str, Shape], width: int) -> Makers:
    """For each modality what makes its branch, by shape alone."""
    return {name: partial(branch, shape, width) for name, shape in shapes.items()}


def branch(shape: Shape, width: int) -> nn.Sequential:
    """Two strided convolutions and a layer to 256 features (5 x 5 and 3 x 3 as released); an MLP for vectors."""
    channels, side, _ = shape
    if side == 1:
        return nn.Sequential(nn.Flatten(), nn.Linear(channels, FEATURES), nn.ReLU(), nn.Linear(FEATURES, FEATURES))
    return nn.Sequential(
        nn.Conv2d(channels, width, kernel_size=5, stride=2, padding=2),
        nn.ReLU(),
        nn.BatchNorm2d(width),
        nn.Conv2d(width, 2 * width, kernel_size=3, stride=2, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(2 * width * (side // 4) ** 2, FEATURES),
    )


def make_generator(shape: Shape, code: int, config: SyncGANConfig) -> nn.Module:
    """The generator of one modality."""
    channels, side, _ = shape
    if side == 1:
        return nn.Sequential(
            nn.Linear(code, 128),
            nn.BatchNorm1d(128),
            nn.ReLU(),
            nn.Linear(128, channels),
            nn.Tanh(),
            nn.Unflatten(1, shape),
        )
    if config.preset == "official":
        return _official_generator(channels, side, code)
    levels = 2 if side == 28 else int(math.log2(side)) - 2
    widths = [config.width * 2 ** min(levels - i, 3) for i in range(levels + 1)]
    start = side >> levels
    layers: list[nn.Module] = [nn.Linear(code, widths[0] * start**2), nn.Unflatten(1, (widths[0], start, start))]
    for before, after in itertools.pairwise(widths):
        layers += [nn.Upsample(scale_factor=2), nn.Conv2d(before, after, kernel_size=3, padding=1)]
        layers += [nn.BatchNorm2d(after), nn.ReLU()]
    return nn.Sequential(*layers, nn.Conv2d(widths[-1], channels, kernel_size=3, padding=1), nn.Tanh())


def make_discriminator(shape: Shape, config: SyncGANConfig) -> nn.Module:
    """The discriminator of one modality: ``(B, C, H, W)`` to ``(B, 1)``."""
    channels, side, _ = shape
    if side == 1:
        layers = [spectral_norm(nn.Linear(channels, 128)), nn.LeakyReLU(0.2), spectral_norm(nn.Linear(128, 1))]
        return nn.Sequential(nn.Flatten(), *layers)
    if config.preset == "official":
        return _official_discriminator(channels, side)
    levels = 2 if side == 28 else int(math.log2(side)) - 2
    widths = [channels, *(max(config.width // 2, 4) * 2 ** min(i + 1, 3) for i in range(levels))]
    body: list[nn.Module] = []
    for before, after in itertools.pairwise(widths):
        body += [spectral_norm(nn.Conv2d(before, after, kernel_size=4, stride=2, padding=1)), nn.LeakyReLU(0.2)]
    deepest = widths[-1]
    body += [spectral_norm(nn.Conv2d(deepest, deepest, kernel_size=3, padding=1)), nn.LeakyReLU(0.2), nn.Flatten()]
    return nn.Sequential(*body, spectral_norm(nn.Linear(deepest * (side >> levels) ** 2, 1)))


def make_encoder(shape: Shape, code: int, width: int) -> nn.Sequential:
    """From items to the part ``(B, c + p)`` of the code that their modality sees; nothing squashes it."""
    channels, side, _ = shape
    if side == 1:
        return nn.Sequential(nn.Flatten(), nn.Linear(channels, FEATURES), nn.ReLU(), nn.Linear(FEATURES, code))
    levels = 2 if side == 28 else int(math.log2(side)) - 2
    widths = [channels, *(width * 2 ** min(i, 3) for i in range(levels))]
    layers: list[nn.Module] = []
    for before, after in itertools.pairwise(widths):
        layers += [nn.Conv2d(before, after, kernel_size=4, stride=2, padding=1), nn.BatchNorm2d(after), nn.ReLU()]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(widths[-1] * (side >> levels) ** 2, code))


def doubled(before: int, after: int) -> nn.ConvTranspose2d:
    """A transposed 5 x 5 convolution to twice the side."""
    return nn.ConvTranspose2d(before, after, kernel_size=5, stride=2, padding=2, output_padding=1)


class SignedSigmoid(nn.Module):
    """The released sigmoid output in the range of the library: ``2 sigmoid(x) - 1``."""

    def forward(self, x: Tensor) -> Tensor:
        return 2 * x.sigmoid() - 1


def _official_generator(channels: int, side: int, code: int) -> nn.Sequential:
    """Transposed 5 x 5 convolutions with batch norm on each layer's input, and a 3 x 3 to the output."""
    start, widths = (7, [128, 64, 32]) if side == 28 else (side // 16, [1024, 512, 256, 128, 64])
    layers: list[nn.Module] = [nn.Linear(code, widths[0] * start**2), nn.ReLU()]
    layers.append(nn.Unflatten(1, (widths[0], start, start)))
    for before, after in itertools.pairwise(widths):
        layers += [nn.BatchNorm2d(before), doubled(before, after), nn.ReLU()]
    last = nn.Conv2d(widths[-1], channels, kernel_size=3, padding=1)
    return nn.Sequential(*layers, nn.BatchNorm2d(widths[-1]), last, SignedSigmoid())


def _official_discriminator(channels: int, side: int) -> nn.Sequential:
    if side == 28:
        return nn.Sequential(
            nn.Conv2d(channels, 8, kernel_size=5, stride=2, padding=2),
            nn.ReLU(),
            nn.BatchNorm2d(8),
            nn.Conv2d(8, 16, kernel_size=3, stride=2, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(784, 128),
            nn.ReLU(),
            nn.Linear(128, 1),
        )
    layers: list[nn.Module] = [nn.Conv2d(channels, 32, kernel_size=5, stride=2, padding=2), nn.ReLU()]
    for before, after in itertools.pairwise([32, 64, 128, 256]):
        layers += [nn.BatchNorm2d(before), nn.Conv2d(before, after, kernel_size=5, stride=2, padding=2), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(256, 1))
