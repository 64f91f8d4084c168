"""LaDo's source step as one would write it down: float32, one call per network and batch, nothing held or reordered.

The reference that ``paired_speed.py`` compares with; the networks and losses are those of ``lowshotgan.systems.lado``.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm


class PlainUp(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1, self.conv2 = (nn.Conv2d(width, width, 3, padding=1) for _ in range(2))
        self.norm1, self.norm2 = nn.BatchNorm2d(width), nn.BatchNorm2d(width)
        self.skip = nn.Conv2d(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        large = F.interpolate(x, scale_factor=2)
        main = self.norm2(self.conv2(F.relu(self.norm1(self.conv1(large)))))
        return F.relu(main + self.skip(large))


class PlainGenerator(nn.Module):
    def __init__(self, resolution: int, z_dim: int, width: int) -> None:
        super().__init__()
        self.width = width
        self.project, self.norm = nn.Linear(z_dim, width * 16), nn.BatchNorm1d(width * 16)
        self.blocks = nn.Sequential(*(PlainUp(width) for _ in range(resolution.bit_length() - 3)))
        self.to_image = nn.Conv2d(width, 3, 3, padding=1)

    def forward(self, codes: Tensor) -> Tensor:
        x = F.relu(self.norm(self.project(codes))).view(-1, self.width, 4, 4)
        return self.to_image(self.blocks(x)).tanh()


class PlainDown(nn.Module):
    def __init__(self, before: int, width: int, *, first: bool, halve: bool) -> None:
        super().__init__()
        self.first, self.halve = first, halve
        self.conv1 = spectral_norm(nn.Conv2d(before, width, 3, padding=1))
        self.conv2 = spectral_norm(nn.Conv2d(width, width, 3, padding=1))
        self.skip = spectral_norm(nn.Conv2d(before, width, 1)) if halve else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        main = self.conv2(F.relu(self.conv1(x if self.first else F.relu(x))))
        if not self.halve:
            return main + x
        skip = self.skip(F.avg_pool2d(x, 2)) if self.first else F.avg_pool2d(self.skip(x), 2)
        return F.avg_pool2d(main, 2) + skip


class PlainDiscriminator(nn.Module):
    def __init__(self, resolution: int, width: int) -> None:
        super().__init__()
        count = resolution.bit_length() - 3
        down = [PlainDown(3 if n == 0 else width, width, first=n == 0, halve=True) for n in range(count)]
        flat = [PlainDown(width, width, first=False, halve=False) for _ in range(2)]
        self.blocks = nn.Sequential(*down, *flat)
        self.head = spectral_norm(nn.Linear(width, 1))

    def forward(self, images: Tensor) -> Tensor:
        return self.head(F.relu(self.blocks(images)).mean(dim=(2, 3)))


class PlainEncoder(nn.Module):
    def __init__(self, resolution: int, code_dim: int, width: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for n in range(resolution.bit_length() - 3):
            layers += [spectral_norm(nn.Conv2d(3 if n == 0 else width, width, 3, padding=1)), nn.LeakyReLU(0.2)]
            layers += [spectral_norm(nn.Conv2d(width, width, 4, stride=2, padding=1)), nn.LeakyReLU(0.2)]
        self.layers = nn.Sequential(*layers)
        self.mean, self.log_variance = nn.Conv2d(width, code_dim, 4), nn.Conv2d(width, code_dim, 4)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        x = self.layers(images)
        return self.mean(x).flatten(1), self.log_variance(x).flatten(1)


class PlainLaDo:
    """The four networks of the source model and one step of each of their optimisers."""

    def __init__(
        self, resolution: int = 64, width: int = 128, content_dim: int = 128, appearance_dim: int = 64
    ) -> None:
        self.z_dim = content_dim + appearance_dim
        self.content = PlainEncoder(resolution, content_dim, width)
        self.appearance = PlainEncoder(resolution, appearance_dim, width)
        self.generator = PlainGenerator(resolution, self.z_dim, width)
        self.discriminator = PlainDiscriminator(resolution, width)
        encoders = [*self.content.parameters(), *self.appearance.parameters()]
        weights = (encoders, self.generator.parameters(), self.discriminator.parameters())
        self.optimizers = [torch.optim.Adam(one, lr=1e-4, betas=(0.0, 0.9)) for one in weights]

    def step(self, images: Tensor) -> None:
        """Discriminator and generator on the same fakes, then the encoders on a fresh forward pass."""
        for_encoders, for_generator, for_discriminator = self.optimizers
        codes, _ = self.encode(images)
        redrawn, noise = self.generator(codes), self.generator(torch.randn(len(images), self.z_dim))

        for_discriminator.zero_grad()
        fooled = [entropy(self.discriminator(fake.detach()), 0.0) for fake in (redrawn, noise)]
        (entropy(self.discriminator(images), 1.0) + 0.5 * (fooled[0] + fooled[1])).backward()
        for_discriminator.step()

        for_generator.zero_grad()
        fooled = [entropy(self.discriminator(fake), 1.0) for fake in (redrawn, noise)]
        loss = 0.1 * (redrawn - images).abs().mean() + 0.5 * (fooled[0] + fooled[1])
        (loss + 1e-4 * self.code_difference(redrawn, codes)).backward()
        for_generator.step()

        for_encoders.zero_grad()
        codes, divergence = self.encode(images)
        redrawn = self.generator(codes)
        loss = 0.1 * (redrawn - images).abs().mean() + 6.4e-4 * divergence
        (loss + 1e-4 * self.code_difference(redrawn, codes)).backward()
        for_encoders.step()

    def encode(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Sampled codes and the divergence of their distribution from the prior."""
        parts, divergence = [], torch.zeros(())
        for encoder in (self.content, self.appearance):
            mean, log_variance = encoder(images)
            parts.append(mean + torch.randn_like(mean) * (0.5 * log_variance).exp())
            inner = 1 + log_variance - mean.square() - log_variance.exp()
            divergence = divergence - 0.5 * inner.sum(dim=1).mean()
        return torch.cat(parts, dim=1), divergence

    def code_difference(self, redrawn: Tensor, codes: Tensor) -> Tensor:
        means = [self.content(redrawn)[0], self.appearance(redrawn)[0]]
        wanted = codes.split([means[0].shape[1], means[1].shape[1]], dim=1)
        return (means[0] - wanted[0]).abs().mean() + (means[1] - wanted[1]).abs().mean()


def entropy(logits: Tensor, label: float) -> Tensor:
    return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, label))
