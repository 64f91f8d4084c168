"""Adaptive discriminator augmentation, pipeline "bgc" (Karras et al., NeurIPS 2020): pixel blits, geometry, colour.

Every operation is linear in the image and built from indexing and products, so it can be differentiated twice on every
device. All operations of one image are merged into one affine warp and one colour matrix.
"""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from lowshotgan.draws import Draws
from lowshotgan.processes import mean_over_processes

PLAIN_WARP_MAX = 64
"""Up to this side the warp samples the image itself; above, it works at twice the side between wavelet filters."""

# Low-pass of the sym6 wavelet (Daubechies' least asymmetric, 12 taps); scaled to sum 1 when used.
_SYM6 = (
    0.015404109327027373,
    0.0034907120842174702,
    -0.11799011114819057,
    -0.048311742585633,
    0.4910559419267466,
    0.787641141030194,
    0.3379294217276218,
    -0.07263752278646252,
    -0.021060292512300564,
    0.04472490177066578,
    0.0017677118642428036,
    -0.007800708325034148,
)
_UNIFORMS, _NORMALS = 21, 7
_SURROUND = 8


def augment_bgc(images: Tensor, p: float, draws: Draws) -> Tensor:
    """Apply each operation to each image with probability ``p``.

    Args:
        images: ``(B, 3, H, W)`` in [-1, 1], H = W.
        p: probability in [0, 1]; 0 returns ``images`` unchanged.
        draws: where every random number comes from.

    Returns:
        ``(B, 3, H, W)``; colour operations may leave [-1, 1].
    """
    if p <= 0:
        return images
    chance, normal = draws.uniform(len(images), _UNIFORMS), draws.normal(len(images), _NORMALS)
    with torch.autocast(images.device.type, enabled=False):  # bfloat16 coordinates would be a quarter pixel off
        back = sample_geometry(chance[:, :14], normal[:, :4], p, images.shape[-1])
        colour = sample_colour(chance[:, 14:], normal[:, 4:], p)
        return recolour(warp(images, back.to(images.device)), colour.to(images.device))


def sample_geometry(chance: Tensor, normal: Tensor, p: float, side: int) -> Tensor:
    """Affine maps from output to input coordinates, both in [-1, 1].

    Args:
        chance: ``(B, 14)`` uniform numbers.
        normal: ``(B, 4)`` normal numbers.
        p: probability of each operation.
        side: of the image, in pixels.

    Returns:
        ``(B, 3, 3)`` homogeneous matrices.
    """
    on = (chance < p).to(chance.dtype)  # used for the gate columns only
    p_turn = 1 - math.sqrt(1 - p)  # two rotations, once in p of cases
    one = torch.ones_like(chance[:, 0])
    flip = 1 - 2 * (chance[:, 1] >= 0.5).to(chance.dtype) * on[:, 0]
    quarter = (chance[:, 3] * 4).floor() * on[:, 2] * (math.pi / 2)
    shift = ((chance[:, 5:7] * 2 - 1) * 0.125 * side).round() / side * 2 * on[:, 4:5]
    zoom = torch.exp2(normal[:, 0] * 0.2 * on[:, 7])
    turn = (chance[:, 9] * 2 - 1) * math.pi * (chance[:, 8] < p_turn)
    stretch = torch.exp2(normal[:, 1] * 0.2 * on[:, 10])
    turn_again = (chance[:, 12] * 2 - 1) * math.pi * (chance[:, 11] < p_turn)
    drift = normal[:, 2:4] * 0.125 * 2 * on[:, 13:14]
    steps = (
        _scaling(flip, one),
        _rotation(-quarter),
        _translation(-shift),
        _scaling(1 / zoom, 1 / zoom),
        _rotation(-turn),
        _scaling(1 / stretch, stretch),
        _rotation(-turn_again),
        _translation(-drift),
    )
    return _product(steps)


def sample_colour(chance: Tensor, normal: Tensor, p: float) -> Tensor:
    """Colour maps: brightness, contrast, luma flip, hue, saturation.

    Args:
        chance: ``(B, 7)`` uniform numbers.
        normal: ``(B, 3)`` normal numbers.
        p: probability of each operation.

    Returns:
        ``(B, 4, 4)`` homogeneous matrices on (red, green, blue, 1).
    """
    on = (chance < p).to(chance.dtype)
    identity = torch.eye(4, device=chance.device).expand(len(chance), 4, 4)
    axis = torch.tensor([1.0, 1.0, 1.0, 0.0], device=chance.device) / math.sqrt(3)
    luma = torch.outer(axis, axis)
    brightness = identity.clone()
    brightness[:, :3, 3] = (normal[:, 0] * 0.2 * on[:, 0])[:, None]
    factor = torch.exp2(normal[:, 1] * 0.5 * on[:, 1])
    contrast = torch.diag_embed(torch.stack([factor, factor, factor, torch.ones_like(factor)], dim=1))
    flip = identity - 2 * luma * ((chance[:, 3] >= 0.5).to(chance.dtype) * on[:, 2])[:, None, None]
    hue = _turn_about(axis[:3], (chance[:, 5] * 2 - 1) * math.pi * on[:, 4])
    strength = torch.exp2(normal[:, 2] * on[:, 6])[:, None, None]
    saturation = luma + (identity - luma) * strength
    saturation[:, 3, 3] = 1.0
    return _product((saturation, hue, flip, contrast, brightness))


def warp(images: Tensor, back: Tensor) -> Tensor:
    """Move pixels by affine maps, the surroundings being the image's reflection.

    Args:
        images: ``(B, C, H, H)``.
        back: ``(B, 3, 3)`` maps from output to input coordinates in [-1, 1].
    """
    side = images.shape[-1]
    if side <= PLAIN_WARP_MAX:
        return _sample(images, back, side, pad=0, mirror=0.0, margin=0)
    fine = _upsample(images)  # (B, C, 2H + 4 SURROUND, ...)
    return _downsample(_sample(fine, back, 2 * side, pad=2 * _SURROUND, mirror=0.5, margin=5))


def recolour(images: Tensor, colour: Tensor) -> Tensor:
    """Apply ``(B, 4, 4)`` colour maps to ``(B, 3, H, W)`` images."""
    colour = colour.to(images.dtype)
    mixed = colour[:, :3, :3] @ images.flatten(2) + colour[:, :3, 3:]
    return mixed.view_as(images)


class Controller:
    """Strength p of the augmentation, raised while the discriminator is too sure of the real images.

    Args:
        target: wanted mean sign of the logits of real images.
        speed: thousands of images p needs to go from 0 to 1.
        cap: largest p.
        batch: images per step, over all processes.
        every: steps between changes.
    """

    def __init__(self, *, target: float, speed: float, cap: float, batch: int, every: int = 4) -> None:
        self.target, self.speed, self.cap = target, speed, cap
        self.batch, self.every = batch, every
        self.p = 0.0
        self.device = torch.device("cpu")
        self._total, self._count, self._steps = 0.0, 0, 0

    def observe(self, logits: Tensor) -> None:
        """Take the logits ``(B, ...)`` of real images of this step."""
        self.device = logits.device
        self._total += float(logits.detach().sign().mean())
        self._count += 1

    def update(self) -> None:
        """After a step: every n-th call moves p. Every process must call it, and all get the same p."""
        self._steps += 1
        if self._steps % self.every or not self._count:
            return
        sign = float(mean_over_processes(torch.tensor(self._total / self._count, device=self.device)))
        move = self.batch * self.every / (self.speed * 1000)
        self.p = min(max(self.p + math.copysign(move, sign - self.target), 0.0), self.cap)
        self._total, self._count = 0.0, 0

    def state_dict(self) -> dict[str, Any]:
        return {"p": self.p, "total": self._total, "count": self._count, "steps": self._steps}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.p, self._total = float(state["p"]), float(state["total"])
        self._count, self._steps = int(state["count"]), int(state["steps"])


def _sample(images: Tensor, back: Tensor, side: int, *, pad: int, mirror: float, margin: int) -> Tensor:
    """Bilinear samples on a grid spaced as the image's own pixels.

    Args:
        images: ``(B, C, S, S)`` with S = ``side + 2 pad``: the image inside ``pad`` pixels of surroundings.
        back: ``(B, 3, 3)`` maps from output to input coordinates.
        side: of the image without its surroundings, in pixels.
        pad: pixels of surroundings on each side.
        mirror: positions beyond the surroundings are mirrored at this many pixels inside the first pixel's centre.
        margin: further rows and columns sampled on each side.
    """
    position = (torch.arange(-margin, side + margin, device=images.device) * 2 + 1) / side - 1
    y, x = torch.meshgrid(position, position, indexing="ij")
    grid = torch.stack([x, y, torch.ones_like(x)]).flatten(1)  # (3, N)
    pixel = ((back @ grid)[:, :2] + 1) * (side / 2) - 0.5  # (B, 2, N)
    inside = (pixel >= -pad) & (pixel <= side - 1 + pad)
    pixel = torch.where(inside, pixel, _fold(pixel - mirror, side - 1 - 2 * mirror) + mirror) + pad
    corner = pixel.floor()
    part = (pixel - corner).to(images.dtype)
    last = side + 2 * pad - 1
    index = corner.long().clamp(0, last)
    (left, top), (right, bottom) = index.unbind(1), (index + 1).clamp(max=last).unbind(1)
    (over, down), (stay_x, stay_y) = part[:, None].unbind(2), (1 - part[:, None]).unbind(2)  # (B, 1, N) each
    flat, width = images.flatten(2), side + 2 * pad
    upper = _pick(flat, top * width + left) * stay_x + _pick(flat, top * width + right) * over
    lower = _pick(flat, bottom * width + left) * stay_x + _pick(flat, bottom * width + right) * over
    mixed = upper * stay_y + lower * down
    return mixed.view(*images.shape[:2], side + 2 * margin, side + 2 * margin)


def _pick(flat: Tensor, index: Tensor) -> Tensor:
    return flat.gather(2, index[:, None].expand(-1, flat.shape[1], -1))


def _fold(position: Tensor, length: float) -> Tensor:
    """Mirror any position into [0, length]."""
    position = position.remainder(2 * length)
    return torch.minimum(position, 2 * length - position)


def _upsample(images: Tensor) -> Tensor:
    """Double the side, with ``_SURROUND`` mirrored pixels around the image (twice as many in the result)."""
    padded = F.pad(images, (_SURROUND + 6,) * 4, mode="reflect")
    spread = torch.zeros(*padded.shape[:2], *(2 * size for size in padded.shape[2:]), device=images.device)
    spread = spread.to(images.dtype)
    spread[..., ::2, ::2] = padded
    return _filter(spread, _taps(images).flip(0) * 2)[..., 6:-7, 6:-7]


def _downsample(images: Tensor) -> Tensor:
    return _filter(images, _taps(images), stride=2)


def _filter(images: Tensor, taps: Tensor, *, stride: int = 1) -> Tensor:
    channels = images.shape[1]
    row = taps.view(1, 1, 1, -1).expand(channels, 1, 1, -1)
    images = F.conv2d(images, row, groups=channels, stride=(1, stride))
    return F.conv2d(images, row.transpose(2, 3), groups=channels, stride=(stride, 1))


def _taps(images: Tensor) -> Tensor:
    taps = torch.tensor(_SYM6, device=images.device, dtype=torch.float32)
    return (taps / taps.sum()).to(images.dtype)


def _product(matrices: tuple[Tensor, ...]) -> Tensor:
    total = matrices[0]
    for matrix in matrices[1:]:
        total = total @ matrix
    return total


def _scaling(x: Tensor, y: Tensor) -> Tensor:
    return torch.diag_embed(torch.stack([x, y, torch.ones_like(x)], dim=1))


def _translation(shift: Tensor) -> Tensor:
    matrix = torch.eye(3, device=shift.device).repeat(len(shift), 1, 1)
    matrix[:, :2, 2] = shift
    return matrix


def _rotation(angle: Tensor) -> Tensor:
    matrix = torch.eye(3, device=angle.device).repeat(len(angle), 1, 1)
    matrix[:, 0, 0] = matrix[:, 1, 1] = angle.cos()
    matrix[:, 0, 1], matrix[:, 1, 0] = -angle.sin(), angle.sin()
    return matrix


def _turn_about(axis: Tensor, angle: Tensor) -> Tensor:
    """Rotation by ``angle (B,)`` about a unit vector, as ``(B, 4, 4)`` (Rodrigues' formula)."""
    x, y, z = (float(part) for part in axis)
    cross = torch.tensor([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]], device=angle.device)
    sine, cosine = angle.sin()[:, None, None], angle.cos()[:, None, None]
    matrix = torch.eye(4, device=angle.device).repeat(len(angle), 1, 1)
    matrix[:, :3, :3] = (
        cosine * torch.eye(3, device=angle.device) + sine * cross + (1 - cosine) * torch.outer(axis, axis)
    )
    return matrix
