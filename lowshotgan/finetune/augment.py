"""Augmentation of what the discriminator sees, real and generated alike (the fourth slot of a recipe)."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from lowshotgan.draws import Draws
from lowshotgan.finetune.ada import Controller, augment_bgc
from lowshotgan.finetune.parts import Part, need, need_number


class Augmenter:
    """Augments batches during one run.

    Args:
        apply: from ``(B, 3, H, W)`` images, the current strength and draws to augmented images.
        controller: what sets the strength, or a fixed strength.
    """

    def __init__(
        self, apply: Callable[[Tensor, float, Draws], Tensor], *, controller: Controller | float = 0.0
    ) -> None:
        self.apply = apply
        self.controller = controller

    @property
    def p(self) -> float:
        """Current strength, the probability of each operation."""
        return self.controller.p if isinstance(self.controller, Controller) else self.controller

    def __call__(self, images: Tensor, draws: Draws) -> Tensor:
        """``(B, 3, H, W)`` images to augmented images; differentiable twice with respect to ``images``."""
        return self.apply(images, self.p, draws)

    def observe(self, logits: Tensor) -> None:
        """Take the logits ``(B, ...)`` of this step's real images; a controller goes by their sign."""
        if isinstance(self.controller, Controller):
            self.controller.observe(logits)

    def on_step(self, step: int, log: dict[str, float]) -> None:
        """After each step: adjust the strength and add it to the log as ``augment_p``."""
        if isinstance(self.controller, Controller):
            self.controller.update()
            log["augment_p"] = self.p

    def state_dict(self) -> dict[str, Any]:
        return self.controller.state_dict() if isinstance(self.controller, Controller) else {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        if isinstance(self.controller, Controller):
            self.controller.load_state_dict(state)


@dataclass(frozen=True)
class Augment(Part):
    """Base of all augmentations."""

    def build(self, *, batch: int) -> Augmenter:
        """What augments a run of ``batch`` images a step."""
        return Augmenter(lambda images, p, draws: images)


@dataclass(frozen=True)
class NoAugment(Augment):
    """Images as they are."""

    kind: ClassVar[str] = "none"


@dataclass(frozen=True)
class DiffAugment(Augment):
    """Fixed differentiable augmentation (Zhao et al., NeurIPS 2020).

    Attributes:
        policy: any of ``color``, ``translation``, ``cutout``, joined by commas.
    """

    policy: str = "color,translation,cutout"
    kind: ClassVar[str] = "diffaug"

    def __post_init__(self) -> None:
        need(
            bool(self._steps()) and all(step in _STEPS for step in self._steps()),
            f"diffaug.policy must join any of {', '.join(_STEPS)} by commas, got {self.policy!r}.",
        )

    def build(self, *, batch: int) -> Augmenter:
        steps = [_STEPS[name] for name in self._steps()]

        def apply(images: Tensor, p: float, draws: Draws) -> Tensor:
            for step in steps:
                images = step(images, draws)
            return images

        return Augmenter(apply, controller=1.0)

    def _steps(self) -> list[str]:
        return [step.strip() for step in self.policy.split(",") if step.strip()]


@dataclass(frozen=True)
class Ada(Augment):
    """Adaptive augmentation "bgc" (Karras et al., NeurIPS 2020).

    Attributes:
        target: wanted mean sign of the real logits.
        speed: thousands of images from p = 0 to 1; 100 when adapting, 500 from scratch, 20 for short
            runs on few images.
        cap: largest p.
    """

    target: float = 0.6
    speed: float = 100.0
    cap: float = 0.85
    kind: ClassVar[str] = "ada"

    def __post_init__(self) -> None:
        need_number("ada.target", self.target, -1, 1)
        need_number("ada.speed", self.speed, 1e-3)
        need_number("ada.cap", self.cap, 0, 1)

    def build(self, *, batch: int) -> Augmenter:
        controller = Controller(target=self.target, speed=self.speed, cap=self.cap, batch=batch)
        return Augmenter(augment_bgc, controller=controller)


@dataclass(frozen=True)
class Fixed(Augment):
    """The operations of ADA with a fixed probability."""

    p: float = 0.3
    kind: ClassVar[str] = "fixed"

    def __post_init__(self) -> None:
        need_number("fixed.p", self.p, 0, 1)

    def build(self, *, batch: int) -> Augmenter:
        return Augmenter(augment_bgc, controller=self.p)


def _color(images: Tensor, draws: Draws) -> Tensor:
    """Brightness + U(-.5, .5), saturation x U(0, 2) about the grey, contrast x U(.5, 1.5) about the image's mean."""
    chance = draws.uniform(len(images), 3)[:, :, None, None, None].to(images.dtype)
    images = images + (chance[:, 0] - 0.5)
    grey = images.mean(dim=1, keepdim=True)
    images = (images - grey) * (chance[:, 1] * 2) + grey
    mean = images.mean(dim=(1, 2, 3), keepdim=True)
    return (images - mean) * (chance[:, 2] + 0.5) + mean


def _translation(images: Tensor, draws: Draws) -> Tensor:
    """Shift by up to 1/8 of the side, rows and columns apart; black (zero) comes in."""
    side = images.shape[-1]
    reach = int(side * 0.125 + 0.5)
    shift = draws.integers(2 * reach + 1, len(images), 2) - reach
    position = torch.arange(side, device=images.device)
    rows, columns = (position - shift[:, :1]), (position - shift[:, 1:])  # (B, side)
    inside = ((rows >= 0) & (rows < side))[:, :, None] & ((columns >= 0) & (columns < side))[:, None, :]
    index = rows.clamp(0, side - 1)[:, :, None] * side + columns.clamp(0, side - 1)[:, None, :]
    moved = images.flatten(2).gather(2, index.flatten(1)[:, None].expand(-1, images.shape[1], -1))
    return moved.view_as(images) * inside[:, None].to(images.dtype)


def _cutout(images: Tensor, draws: Draws) -> Tensor:
    """Zero a square of half the side whose centre lies anywhere in the image."""
    side = images.shape[-1]
    centre = draws.integers(side + 1, len(images), 2)
    position = torch.arange(side, device=images.device)
    first = centre - side // 4
    hit = (position >= first[:, :, None]) & (position < first[:, :, None] + side // 2)  # (B, 2, side)
    hole = hit[:, 0, :, None] & hit[:, 1, None, :]
    return images * (~hole)[:, None].to(images.dtype)


_STEPS: dict[str, Callable[[Tensor, Draws], Tensor]] = {
    "color": _color,
    "translation": _translation,
    "cutout": _cutout,
}

AUGMENTS: dict[str, type[Augment]] = {part.kind: part for part in (NoAugment, DiffAugment, Ada, Fixed)}
