"""Configuration and networks of the conditional SyncGAN (Chen, Chen and Hu, ICME 2018): one modality drawn from another.

first (B, C, H, W) [, noise (B, n)] -> generator -> second (B, C', H', W') in [-1, 1]
second -> discriminator -> (B, 1);  first and second -> synchronizer -> logit (B,)
"""

import itertools
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lowshotgan.checks import one_of, positive
from lowshotgan.errors import ConfigError
from lowshotgan.systems.syncgan.modalities import Modality
from lowshotgan.systems.syncgan.networks import Concat, Shape, SignedSigmoid, TwoTower, branches_for, doubled
from lowshotgan.systems.syncgan.specs import parse_modalities


@dataclass(frozen=True)
class CondSyncGANConfig:
    """Constructor arguments of the networks.

    Attributes:
        resolution: side of the result's modality in the architecture.
        modalities: two ``name=spec`` lines, images or spectrograms: what is given, then what is drawn.
        inverse: draw the first from the second instead.
        noise_dim: length of an optional noise code; 0 as published, one result for each item.
        synchronizer: "concat" (as published for 28 px), "two_tower", or "early" (both as channels of one network, as
            published for aligned images of 64 px).
        synchronizer_width: channels of the first layer of a synchronizer branch; "early" has four times as many.
    """

    resolution: int = 28
    modalities: tuple[str, ...] = ("first=image:1x28x28", "second=image:1x28x28")
    inverse: bool = False
    noise_dim: int = 0
    synchronizer: str = "concat"
    synchronizer_width: int = 16

    def __post_init__(self) -> None:
        object.__setattr__(self, "modalities", tuple(self.modalities))
        if len(self.parsed) != 2 or any(m.shape[1] < 16 for m in self.parsed.values()):
            raise ConfigError(
                f"cond_syncgan needs two modalities of 16 px and more, no vectors; got {list(self.modalities)}."
            )
        one_of("synchronizer", self.synchronizer, ("concat", "two_tower", "early"))
        if not isinstance(positive("synchronizer_width", self.synchronizer_width), int):
            raise ConfigError(f"synchronizer_width must be a whole number, got {self.synchronizer_width!r}.")
        if isinstance(self.noise_dim, bool) or not isinstance(self.noise_dim, int) or self.noise_dim < 0:
            raise ConfigError(f"noise_dim must be a whole number of at least 0, got {self.noise_dim!r}.")
        sides = {modality.shape[1] for modality in self.parsed.values()}
        if self.synchronizer == "early" and len(sides) > 1:
            raise ConfigError("synchronizer='early' needs two modalities of one size; use 'concat'.")

    @property
    def parsed(self) -> dict[str, Modality]:
        """Modalities by name."""
        return parse_modalities(self.modalities)

    @property
    def names(self) -> tuple[str, str]:
        """What is given and what is drawn."""
        first, second = self.parsed
        return (second, first) if self.inverse else (first, second)


class ConditionalGenerator(nn.Module):
    """Strided convolutions down, one layer across, transposed convolutions up; batch norm on each layer's input.

    From 64 px to 64 px there is no layer across, as released, and noise joins the deepest map as channels of its own.
    """

    def __init__(self, first: Shape, second: Shape, noise_dim: int = 0) -> None:
        super().__init__()
        self.noise_dim = noise_dim
        self.down, features = (_down_small if first[1] < 64 else _down_large)(first)
        self.start = (64, second[1] // 4) if second[1] < 64 else (1024, second[1] // 16)  # channels and side
        size = self.start[0] * self.start[1] ** 2
        direct = first[1] >= 64 and features == size
        self.across = None if direct else nn.Sequential(nn.Linear(features + noise_dim, size), nn.ReLU())
        self.up = (_up_small if second[1] < 64 else _up_large)(second[0], noise_dim if direct else 0)

    def forward(self, items: Tensor, noise: Tensor | None = None) -> Tensor:
        features = self.down(items)  # (B, F)
        given = [] if noise is None or not self.noise_dim else [noise]
        if self.across is not None:
            features, given = self.across(torch.cat([features, *given], dim=1)), []
        channels, side = self.start
        maps = features.unflatten(1, (channels, side, side))
        maps = torch.cat([maps, *(z[:, :, None, None].expand(-1, -1, side, side) for z in given)], dim=1)
        values: Tensor = self.up(maps)
        return values


class ConditionalJudges(nn.Module):
    """The discriminator of the second modality, and the synchronizer of both."""

    def __init__(self, config: CondSyncGANConfig) -> None:
        super().__init__()
        shapes = {name: config.parsed[name].shape for name in config.names}
        self.discriminator = conditional_discriminator(shapes[config.names[1]])
        width = config.synchronizer_width
        if config.synchronizer == "early":
            self.synchronizer: nn.Module = Early(shapes, width)
        else:
            kind = TwoTower if config.synchronizer == "two_tower" else Concat
            self.synchronizer = kind(branches_for(shapes, width))


class Early(nn.Module):
    """S on both modalities as channels of one image, as released for aligned images."""

    def __init__(self, shapes: dict[str, Shape], width: int) -> None:
        super().__init__()
        widths = [sum(shape[0] for shape in shapes.values()), *(4 * width * 2**i for i in range(4))]
        self.layers = _pooled(widths)

    def forward(self, first: Tensor, second: Tensor, names: tuple[str, str]) -> Tensor:
        """Logits ``(B,)`` of pairs."""
        logits: Tensor = self.layers(torch.cat([first, second], dim=1))[:, 0]
        return logits


def conditional_discriminator(shape: Shape) -> nn.Sequential:
    """5 x 5 and 3 x 3 strided convolutions and two layers; four convolutions and a mean from 64 px on."""
    channels, side, _ = shape
    if side >= 64:
        return _pooled([channels, 32, 64, 128, 256])
    return nn.Sequential(
        nn.Conv2d(channels, 16, kernel_size=5, stride=2, padding=2),
        nn.ReLU(),
        nn.BatchNorm2d(16),
        nn.Conv2d(16, 32, kernel_size=3, stride=2, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(32 * (side // 4) ** 2, 256),
        nn.ReLU(),
        nn.Linear(256, 1),
    )


def _down_small(shape: Shape) -> tuple[nn.Sequential, int]:
    channels, side, _ = shape
    features = 64 * (side // 4) ** 2
    return nn.Sequential(
        nn.Conv2d(channels, 32, kernel_size=5, stride=2, padding=2),
        nn.ReLU(),
        nn.BatchNorm2d(32),
        nn.Conv2d(32, 64, kernel_size=5, stride=2, padding=2),
        nn.ReLU(),
        nn.Flatten(),
        nn.BatchNorm1d(features),
    ), features


def _up_small(channels: int, noise_dim: int) -> nn.Sequential:
    return nn.Sequential(
        nn.BatchNorm2d(64 + noise_dim),
        doubled(64 + noise_dim, 32),
        nn.ReLU(),
        nn.BatchNorm2d(32),
        doubled(32, channels),
        SignedSigmoid(),
    )


def _down_large(shape: Shape) -> tuple[nn.Sequential, int]:
    channels, side, _ = shape
    layers: list[nn.Module] = [nn.Conv2d(channels, 64, kernel_size=3, padding=1), nn.ReLU()]
    for before, after in itertools.pairwise([64, 128, 256, 512, 1024]):
        down = nn.Conv2d(before, after, kernel_size=5, stride=2, padding=2)
        layers += [nn.BatchNorm2d(before), down, nn.ReLU()]
    return nn.Sequential(*layers, nn.Flatten()), 1024 * (side // 16) ** 2


def _up_large(channels: int, noise_dim: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for before, after in itertools.pairwise([1024 + noise_dim, 512, 256, 128, 64]):
        layers += [nn.BatchNorm2d(before), doubled(before, after), *([nn.ReLU()] if after > 64 else [])]
    last = nn.Conv2d(64, channels, kernel_size=3, padding=1)
    return nn.Sequential(*layers, nn.BatchNorm2d(64), last, SignedSigmoid())


def _pooled(widths: list[int]) -> nn.Sequential:
    """Strided 5 x 5 convolutions with batch norm on each input but the first, a mean over the map, one logit."""
    layers: list[nn.Module] = []
    for before, after in itertools.pairwise(widths):
        layers += [nn.BatchNorm2d(before)] if layers else []
        layers += [nn.Conv2d(before, after, kernel_size=5, stride=2, padding=2), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(widths[-1], 1))
