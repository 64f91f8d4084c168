"""FastGAN generator and discriminator (Liu et al., "Towards Faster and Stabilized GAN Training", ICLR 2021).

    z (B, z_dim) -> init (B, 16w, 4, 4) -> feat_8 -> feat_16 -> ... -> feat_R -> to_big -> (B, 3, R, R)
                    early maps gate late ones (se_*)    \\-> second output (B, 3, S, S), S = min(R / 2, 128)
    big (B, 3, R, R), small (B, 3, S, S) -> 25 + 25 patch logits (B, 50); three decoders redraw the image

Every convolution is spectrally normalised and has no bias. Parameter names follow the layout of the original
release. The original defines 256, 512 and 1024 px; 32, 64 and 128 px are an extension of the paper: they stop earlier
and keep its rules, with skip gates wherever both of their maps exist (at 32 px one in the generator, none in the
discriminator). Batch statistics make an image depend on its batch mates, so a trained generator is run in evaluation
mode after ``batch_norm.recompute_batch_norm``.
"""

from collections.abc import Sequence
from typing import Literal, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lowshotgan.checks import one_of, power_of_two
from lowshotgan.draws import Draws
from lowshotgan.errors import ConfigError
from lowshotgan.nets.fastgan_blocks import (
    Decoder,
    DownBlock,
    DownBlockComp,
    InitLayer,
    SkipGate,
    UpBlock,
    UpBlockComp,
    conv,
    lrelu,
    norm,
    powers,
)

Noise = Literal["random", "const", "none"] | Sequence[Tensor]
Tanh = Literal["everywhere", "official"]

_GENERATOR_WIDTHS = {4: 16.0, 8: 8.0, 16: 4.0, 32: 2.0, 64: 2.0, 128: 1.0, 256: 0.5, 512: 0.25, 1024: 0.125}
_DISCRIMINATOR_WIDTHS = _GENERATOR_WIDTHS | {8: 16.0, 16: 8.0, 32: 4.0}


class Generator(nn.Module):
    """Latents to images at two sizes.

    Args:
        resolution: side R of the image: 32, 64, 128, 256, 512 or 1024.
        z_dim: length of a latent.
        width: channels at 128 px; other maps have a fixed multiple of it (16 at 4 px to 1/8 at 1024 px).
        tanh: bound both outputs by tanh ("everywhere"), or only at 1024 px as the original does ("official").
    """

    def __init__(self, resolution: int, *, z_dim: int = 256, width: int = 64, tanh: Tanh = "everywhere") -> None:
        super().__init__()
        power_of_two("resolution", resolution, low=32)
        one_of("tanh", tanh, ("everywhere", "official"))
        channels = {side: max(int(share * width), 1) for side, share in _GENERATOR_WIDTHS.items()}
        self.resolution = resolution
        self.z_dim = z_dim
        self.small_resolution = small_side(resolution)
        self.sides = powers(8, resolution)
        self.gates = {to: source for source, to in _gate_pairs(resolution)}
        self.tanh = tanh == "everywhere" or resolution == 1024
        self.init = InitLayer(z_dim, channels[4])
        for side in self.sides:
            block = UpBlockComp if side in (8, 32, 128, 512) else UpBlock
            self.add_module(f"feat_{side}", block(channels[side // 2], channels[side], side))
        for to, source in self.gates.items():
            self.add_module(f"se_{to}", SkipGate(channels[source], channels[to]))
        self.add_module(self._small_name, conv(channels[self.small_resolution], 3, 1))
        self.to_big = conv(channels[resolution], 3, 3)

    def forward(
        self, z: Tensor, *, noise: Noise = "const", return_small: bool = False
    ) -> Tensor | tuple[Tensor, Tensor]:
        """Draw images.

        Args:
            z: ``(B, z_dim)`` standard normal latents.
            noise: fresh ("random"), the stored maps ("const"), "none", or one ``(B, 1, r, r)`` map for each
                injection as ``draw_noise`` gives them.
            return_small: also return the second output.

        Returns:
            ``(B, 3, R, R)`` images, in [-1, 1] under tanh and around it otherwise; with ``return_small`` also
            ``(B, 3, S, S)`` images, S = ``small_resolution``.

        Raises:
            ConfigError: if ``z`` or ``noise`` has the wrong shape.
        """
        if z.ndim != 2 or z.shape[1] != self.z_dim:
            raise ConfigError(f"latents must be (B, {self.z_dim}), got {tuple(z.shape)}.")
        maps = iter(self._each_noise(noise))
        features = {4: self.init(z)}
        for side in self.sides:
            block = self._block(side)
            x = block(features[side // 2], [next(maps) for _ in range(block.injections)])
            if side in self.gates:
                x = x * self.get_submodule(f"se_{side}")(features[self.gates[side]])
            features[side] = x
        big = self._bound(self.to_big(features[self.resolution]))
        if not return_small:
            return big
        return big, self._bound(self.get_submodule(self._small_name)(features[self.small_resolution]))

    def noise_shapes(self) -> list[tuple[int, int]]:
        """``(r, r)`` of each noise map, in the order ``forward`` takes them."""
        return [(side, side) for side in self.sides for _ in range(self._block(side).injections)]

    def draw_noise(self, batch: int, draws: Draws) -> list[Tensor]:
        """Fresh noise for ``batch`` samples: one ``(batch, 1, r, r)`` map per injection."""
        return [draws.normal(batch, 1, *shape) for shape in self.noise_shapes()]

    def _block(self, side: int) -> "UpBlock | UpBlockComp":
        return cast(UpBlock | UpBlockComp, self.get_submodule(f"feat_{side}"))

    @property
    def _small_name(self) -> str:
        return f"to_{self.small_resolution}"

    def _each_noise(self, noise: Noise) -> Sequence[Tensor | str]:
        count = len(self.noise_shapes())
        if isinstance(noise, str):
            return [one_of("noise", noise, ("random", "const", "none"))] * count
        if len(noise) != count:
            raise ConfigError(f"noise needs {count} maps, got {len(noise)}; draw them with draw_noise().")
        return noise

    def _bound(self, image: Tensor) -> Tensor:
        image = image.float()
        return image.tanh() if self.tanh else image


class Discriminator(nn.Module):
    """Judge an image at two sizes, and redraw real ones from its features (section 3.2).

    Maps are named by how much smaller than 512 px they are: ``down_64`` ends at 8 px.

    Args:
        resolution: side R of the image: 32, 64, 128, 256, 512 or 1024.
        width: channels at 128 px; other maps have a fixed multiple of it.
    """

    def __init__(self, resolution: int, *, width: int = 64) -> None:
        super().__init__()
        power_of_two("resolution", resolution, low=32)
        channels = {side: max(int(share * width), 1) for side, share in _DISCRIMINATOR_WIDTHS.items()}
        self.resolution = resolution
        self.small_resolution = small_side(resolution)
        self.stem_side = min(resolution, 256)
        self.down_from_big = _stem(resolution, channels)
        self.sides = [side for side in (128, 64, 32, 16, 8) if side < self.stem_side]
        for side in self.sides:
            self.add_module(f"down_{512 // side}", DownBlockComp(channels[side * 4], channels[side * 2]))
        self.gates = {side // 8: side for side in (256, 128, 64) if side <= self.stem_side}
        for to, source in self.gates.items():
            gate = SkipGate(channels[source * 2], channels[to * 2])
            self.add_module(f"se_{512 // source}_{512 // to}", gate)
        self.rf_big = nn.Sequential(
            conv(channels[16], channels[8], 1), norm(channels[8]), lrelu(),
            conv(channels[8], 1, 4, padding=0),
        )  # fmt: skip
        self.down_from_small = _small_branch(self.small_resolution, channels)
        self.rf_small = conv(channels[32], 1, 4, padding=0)
        decoded, narrow = min(resolution, 128), max(width // 2, 1)
        self.decoder_big = Decoder(channels[16], decoded, width=narrow)
        self.decoder_part = Decoder(channels[32], decoded, width=narrow)
        self.decoder_small = Decoder(channels[32], decoded, width=narrow)

    def forward(
        self, big: Tensor, small: Tensor | None = None, *, quadrant: int | None = None
    ) -> Tensor | tuple[Tensor, dict[str, Tensor]]:
        """Judge images.

        Args:
            big: ``(B, 3, R, R)`` in [-1, 1].
            small: ``(B, 3, S, S)`` in [-1, 1], S = ``small_resolution``; default: ``big`` averaged.
            quadrant: 0 to 3 (row by row) to also decode the features; that quarter feeds the third decoder.

        Returns:
            ``(B, 50)`` raw logits: 5 x 5 patches of the big, then of the small image. With ``quadrant`` also
            the decodings ``big``, ``small`` (the whole image) and ``part`` (the quadrant), ``(B, 3, r, r)``
            in [-1, 1], r = min(R, 128).

        Raises:
            ConfigError: if an image has the wrong shape.
        """
        small = shrink(big, self.small_resolution) if small is None else small
        self._check(big, self.resolution)
        self._check(small, self.small_resolution)
        features = {self.stem_side: self.down_from_big(big)}
        for side in self.sides:
            x = self.get_submodule(f"down_{512 // side}")(features[side * 2])
            if side in self.gates:
                source = self.gates[side]
                x = x * self.get_submodule(f"se_{512 // source}_{512 // side}")(features[source])
            features[side] = x
        from_small = self.down_from_small(small)  # (B, C, 8, 8)
        patches = (self.rf_big(features[8]), self.rf_small(from_small))
        logits = torch.cat([patch.float().flatten(1) for patch in patches], dim=1)
        if quadrant is None:
            return logits
        decoded = {
            "big": self.decoder_big(features[8]),
            "small": self.decoder_small(from_small),
            "part": self.decoder_part(quarter(features[16], quadrant)),
        }
        return logits, decoded

    @staticmethod
    def _check(images: Tensor, side: int) -> None:
        if images.ndim != 4 or tuple(images.shape[1:]) != (3, side, side):
            raise ConfigError(f"images must be (B, 3, {side}, {side}), got {tuple(images.shape)}.")


def small_side(resolution: int) -> int:
    """Side of the second output: 128 px from 256 px on, half the image below."""
    return min(resolution // 2, 128)


def shrink(images: Tensor, side: int) -> Tensor:
    """``(B, 3, H, W) -> (B, 3, side, side)`` by averaging over blocks, or repeating pixels if H is below."""
    return F.interpolate(images, size=(side, side), mode="area")


def quarter(x: Tensor, index: int) -> Tensor:
    """Quadrant 0 to 3, row by row: ``(B, C, H, W) -> (B, C, H / 2, W / 2)``."""
    if not 0 <= index <= 3:
        raise ConfigError(f"quadrant must be 0, 1, 2 or 3, got {index}.")
    top, left = index // 2 * (x.shape[2] // 2), index % 2 * (x.shape[3] // 2)
    return x[:, :, top : top + x.shape[2] // 2, left : left + x.shape[3] // 2]


def _stem(resolution: int, channels: dict[int, int]) -> nn.Sequential:
    """Image to a map of at most 256 px."""
    if resolution == 1024:
        return nn.Sequential(
            conv(3, channels[1024], 4, stride=2), lrelu(),
            conv(channels[1024], channels[512], 4, stride=2), norm(channels[512]), lrelu(),
        )  # fmt: skip
    if resolution == 512:
        return nn.Sequential(conv(3, channels[512], 4, stride=2), lrelu())
    return nn.Sequential(conv(3, channels[resolution * 2], 3), lrelu())


def _small_branch(side: int, channels: dict[int, int]) -> nn.Sequential:
    """Small image to 8 px, halving at each step."""
    layers: list[nn.Module] = [conv(3, channels[side * 2], 4, stride=2), lrelu()]
    while side > 16:
        layers.append(DownBlock(channels[side * 2], channels[side]))
        side //= 2
    return nn.Sequential(*layers)


def _gate_pairs(resolution: int) -> list[tuple[int, int]]:
    """(source, target) sides of the skip gates: 16 times apart in the original, 8 in the small models."""
    factor = 16 if resolution >= 256 else 8
    return [(source, source * factor) for source in (4, 8, 16, 32) if source * factor <= min(resolution, 512)]
