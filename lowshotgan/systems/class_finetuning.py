"""Fitting a translator of classes to K images of a new class: encode them, or move the code (and what makes it) a little.

shots -> code -> redraw each shot by the code -> distance from the shot (+ pull to the first code, + hold on source)
"""

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from lowshotgan.checks import not_negative, one_of, positive
from lowshotgan.data.batches import ImageBatches, Together
from lowshotgan.data.classes import load_classes
from lowshotgan.data.dataset import ImageSet
from lowshotgan.data.episodes import Episodes
from lowshotgan.data.images import from_uint8
from lowshotgan.errors import ConfigError
from lowshotgan.losses.reconstruction import absolute_difference
from lowshotgan.systems.class_code import ClassCode
from lowshotgan.systems.frozen_features import Perceptual, load_perceptual
from lowshotgan.systems.translation import Translator
from lowshotgan.types import Batch, Batches, ParamGroup, Phase, Stage

TRAINS = ("code", "class")


@dataclass(frozen=True)
class ClassFineTuning:
    """How a translator is fitted to one class of K images. With 0 steps the images are only encoded, which needs seconds.

    Attributes:
        steps: optimiser steps; 0 trains nothing.
        batch_size: of the K images, and of source images, per step.
        trains: "code", the class's code alone, which changes no other class; or "class", the class encoder and MLP,
            which needs source images to hold the other classes in place.
        source: folder of class folders with those source images, such as the training data.
        lr: Adam's learning rate.
        pull: weight of the squared distance from the code as encoded.
        hold: weight of the difference from the untouched model on source images.
        perceptual: network of the feature distance; as for FastGAN.
        flip: mirror images at random.
    """

    steps: int = 0
    batch_size: int = 4
    trains: str = "code"
    source: str | None = None
    lr: float = 1e-3
    pull: float = 1e-2
    hold: float = 10.0
    perceptual: str = "auto"
    flip: bool = True

    def __post_init__(self) -> None:
        for name in ("batch_size", "lr"):
            positive(name, getattr(self, name))
        not_negative(self, "steps", "pull", "hold")
        one_of("trains", self.trains, TRAINS)
        if self.steps and self.trains == "class" and self.source is None:
            raise ConfigError(
                'trains="class" changes every class unless source images hold the others; pass source="folder of class '
                'folders", or use trains="code".'
            )
        one_of("perceptual", self.perceptual, ("auto", "lsg1", "random"))


def finetune_stages(
    system: Translator,
    shots: ImageSet,
    finetuning: ClassFineTuning,
    *,
    seed: int = 0,
    rank: int = 0,
    world_size: int = 1,
) -> Iterator[Stage]:
    """Encode the shots, train if asked to, and leave the code in ``system.details`` (see ``Translator.class_code``).

    The generator must answer ``encode(exemplars)``, ``(content, codes)`` and ``class_modules()``.
    """
    generator: Any = system.generator
    images = from_uint8(shots.uint8())
    first = system.encode_exemplars(images, name="finetuned")
    system.details["class_code"] = first.to_dict()
    if not finetuning.steps:
        return
    before = _own_distance(system, images, first)
    losses = FineTuningLosses(
        generator, first.values.to(system.device), finetuning, load_perceptual(finetuning.perceptual, system.device)
    )
    shares = {"seed": seed, "rank": rank, "world_size": world_size, "device": system.device}
    yield Stage(
        name="class",
        steps=finetuning.steps,
        batches=_batches(system, shots, finetuning, shares),
        groups={"class": ParamGroup(losses.trained, lr=finetuning.lr, betas=(0.9, 0.99))},
        phases=[Phase("class", "class", losses.terms, losses.weights)],
        modules={"generator": generator, "code": losses.code},
        preview=lambda: system.generate(content=images[:8], exemplars=losses.current(system, images)).tensor,
    )
    after = losses.current(system, images)
    system.details["class_code"] = after.to_dict()
    system.details["class_fit"] = {"before": before, "after": _own_distance(system, images, after)}
    generator.requires_grad_(True)


class FineTuningLosses:
    """The terms of one step and what they train.

    Attributes:
        code: holds the class's code as its only parameter.
        trained: parameters that move.
        weights: of the terms.
    """

    def __init__(self, generator: Any, first: Tensor, finetuning: ClassFineTuning, perceptual: Perceptual) -> None:
        self.generator, self.perceptual = generator, perceptual
        self.code = nn.ParameterDict({"code": nn.Parameter(first.clone()[None])})
        self.weights = {"image": 1.0, "pull": finetuning.pull}
        self._first = first[None]
        self._trains_class = finetuning.trains == "class"
        self._frozen: Any = copy.deepcopy(generator).requires_grad_(False) if self._trains_class else None
        generator.requires_grad_(False)
        if self._trains_class:
            self.trained = [value for module in generator.class_modules() for value in module.parameters()]
            self.weights["hold"] = finetuning.hold
        else:
            self.trained = list(self.code.parameters())

    def terms(self, batch: Batch) -> Mapping[str, Tensor]:
        """Each shot redrawn by the class's code should be the shot; source images should be drawn as before."""
        shots = batch.images["shots"]
        code = self.generator.encode(shots).mean(dim=0, keepdim=True) if self._trains_class else self.code["code"]
        redrawn = self.generator(shots, code)
        found = {
            "image": self.perceptual(redrawn, shots),
            "pull": (code - self._first).square().mean().expand(len(shots)),
        }
        if self._trains_class:
            content, exemplars = batch.images["content"], batch.images["exemplars"]
            with torch.no_grad():
                wanted = self._frozen(content, self._frozen.encode(exemplars))
            found["hold"] = absolute_difference(self.generator(content, self.generator.encode(exemplars)), wanted)
        return found

    def current(self, system: Translator, images: Tensor) -> ClassCode:
        """The class's code as it now is."""
        if self._trains_class:
            return system.encode_exemplars(images, name="finetuned")
        values = self.code["code"].detach()[0].float().cpu().clone()
        return ClassCode(values, len(images), system.fingerprint, "finetuned")


def _batches(system: Translator, shots: ImageSet, finetuning: ClassFineTuning, shares: Mapping[str, Any]) -> Batches:
    parts: dict[str, Batches] = {"shots": ImageBatches(shots, finetuning.batch_size, flip=finetuning.flip, **shares)}
    if finetuning.trains == "class":
        source = load_classes(finetuning.source, resolution=system.config.resolution)
        parts["source"] = Episodes(source, finetuning.batch_size, flip=finetuning.flip, **shares)
    return Together(parts)


def _own_distance(system: Translator, images: Tensor, code: ClassCode) -> float:
    """Mean absolute difference, in [0, 2], of the shots from themselves redrawn by their class's code."""
    return round(float((system.generate(content=images, exemplars=code).tensor - images).abs().mean()), 5)
