"""Fitting a translator of classes to K images of a new class: encode them, or move the code or a part of the generator.

shots -> code -> redraw each shot by the code -> distance from the shot (+ pull to the first code, + hold on other classes)
"""

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from lowshotgan.checks import not_negative, one_of, positive
from lowshotgan.data.batches import ImageBatches, Together
from lowshotgan.data.classes import ClassSet, load_classes
from lowshotgan.data.dataset import ImageSet
from lowshotgan.data.episodes import Episodes
from lowshotgan.data.images import from_uint8
from lowshotgan.draws import Draws
from lowshotgan.errors import ConfigError
from lowshotgan.losses.reconstruction import absolute_difference
from lowshotgan.systems.class_code import ClassCode
from lowshotgan.systems.class_training import colours_mixed
from lowshotgan.systems.frozen_features import Perceptual, load_perceptual
from lowshotgan.systems.translation import Translator
from lowshotgan.types import Batch, Batches, ParamGroup, Phase, Stage

RATES = {"code": 1e-3, "adain": 1e-3, "class": 1e-3, "decoder": 1e-5}
"""What may be trained, and Adam's learning rate for it."""


@dataclass(frozen=True)
class ClassFineTuning:
    """How a translator is fitted to one class of K images. With 0 steps the images are only encoded, which needs seconds.

    Attributes:
        steps: optimiser steps; 0 trains nothing.
        batch_size: of the K images, and of images that hold the other classes, per step.
        trains: "code", the class's code alone, which changes no other class; "adain", the code and the layers that turn
            styles into shifts and scales; "class", the class encoder and MLP; or "decoder", what draws.
        source: folder of class folders, such as the training data, whose images hold the other classes in place. Without
            it images that the model itself draws do: the shots redrawn in colours mixed at random.
        lr: Adam's learning rate; that of ``RATES`` unless given.
        pull: weight of the squared distance from the code as encoded.
        hold: weight of the difference from the untouched model on images of other classes.
        perceptual: network of the feature distance; as for FastGAN.
        flip: mirror images at random.
    """

    steps: int = 0
    batch_size: int = 4
    trains: str = "code"
    source: str | None = None
    lr: float | None = None
    pull: float = 1e-2
    hold: float = 10.0
    perceptual: str = "auto"
    flip: bool = True

    def __post_init__(self) -> None:
        positive("batch_size", self.batch_size)
        not_negative(self, "steps", "pull", "hold")
        one_of("trains", self.trains, RATES)
        if self.lr is not None:
            positive("lr", self.lr)
        if self.source is not None and self.trains == "code":
            raise ConfigError('trains="code" changes no other class and needs no source images; leave out source.')
        one_of("perceptual", self.perceptual, ("auto", "lsg1", "random"))

    @property
    def rate(self) -> float:
        """Adam's learning rate."""
        return RATES[self.trains] if self.lr is None else self.lr


def finetune_stages(
    system: Translator,
    shots: ImageSet,
    finetuning: ClassFineTuning,
    *,
    seed: int = 0,
    rank: int = 0,
    world_size: int = 1,
) -> Iterator[Stage]:
    """Encode the shots, train if asked to, and leave in ``system.details`` the code (see ``Translator.class_code``), how
    near the shots are to themselves redrawn by it and how far images of other classes moved (``class_fit``), and what a
    delta needs (``class_delta``).

    The generator must answer ``encode(exemplars)``, ``(content, codes)``, ``class_modules()`` and ``style_modules()``,
    and have a ``decoder``.
    """
    generator: Any = system.generator
    images = from_uint8(shots.uint8())
    first = system.encode_exemplars(images, name="finetuned")
    forget_class(system)
    system.details["class_code"] = first.to_dict()
    if not finetuning.steps:
        return
    before, base = _own_distance(system, images, first), {"base": system.source_name, "base_digest": system.digest}
    losses = FineTuningLosses(
        generator, first.values.to(system.device), finetuning, load_perceptual(finetuning.perceptual, system.device)
    )
    shares = {"seed": seed, "rank": rank, "world_size": world_size, "device": system.device}
    source = (
        None if finetuning.source is None else load_classes(finetuning.source, resolution=system.config.resolution)
    )
    if losses.names:
        system.details["class_delta"] = {**base, "tensors": losses.names}

    def keep(step: int, log: dict[str, float]) -> None:  # a training that is stopped leaves a model that draws, too
        system.details["class_code"] = losses.current(system, images).to_dict()

    yield Stage(
        name="class",
        steps=finetuning.steps,
        batches=_batches(shots, source, finetuning, shares),
        groups={"class": ParamGroup(losses.trained, lr=finetuning.rate, betas=(0.9, 0.99))},
        phases=[Phase("class", "class", losses.terms, losses.weights)],
        modules={"generator": generator, "code": losses.code},
        on_step=[keep],
        preview=lambda: system.generate(content=images[:8], exemplars=losses.current(system, images)).tensor,
    )
    after = losses.current(system, images)
    looked_at = next(_batches(shots, source, finetuning, {"device": system.device}))
    system.details["class_code"] = after.to_dict()
    system.details["class_fit"] = {
        "before": before,
        "after": _own_distance(system, images, after),
        "others": losses.moved(Batch(looked_at, Draws(0, device=system.device), 0, 1.0)),
    }
    generator.requires_grad_(True)


def forget_class(system: Translator) -> None:
    """Drop what an earlier fitting left."""
    for name in ("class_code", "class_fit", "class_delta"):
        system.details.pop(name, None)


class FineTuningLosses:
    """The terms of one step and what they train.

    Attributes:
        code: holds the class's code as its only parameter.
        trained: parameters that move.
        names: those of them in the generator.
        weights: of the terms.
    """

    def __init__(self, generator: Any, first: Tensor, finetuning: ClassFineTuning, perceptual: Perceptual) -> None:
        self.generator, self.perceptual = generator, perceptual
        self.code = nn.ParameterDict({"code": nn.Parameter(first.clone()[None])})
        self.weights = {"image": 1.0, "pull": finetuning.pull}
        self._first = first[None]
        self._encodes = finetuning.trains == "class"
        parts = {"code": [], "adain": generator.style_modules(), "class": generator.class_modules()}
        parts["decoder"] = [generator.decoder]
        self.trained = [value for module in parts[finetuning.trains] for value in module.parameters()]
        mine = {id(value) for value in self.trained}
        self.names = [name for name, value in generator.named_parameters() if id(value) in mine]
        self._frozen: Any = copy.deepcopy(generator).requires_grad_(False) if self.names else None
        generator.requires_grad_(False)
        if finetuning.trains in ("code", "adain"):
            self.trained += self.code.parameters()
        if self.names:
            self.weights["hold"] = finetuning.hold

    def terms(self, batch: Batch) -> Mapping[str, Tensor]:
        """Each shot redrawn by the class's code should be the shot; images of other classes should be drawn as before."""
        shots = batch.images["shots"]
        code = self.generator.encode(shots).mean(dim=0, keepdim=True) if self._encodes else self.code["code"]
        found = {
            "image": self.perceptual(self.generator(shots, code), shots),
            "pull": (code - self._first).square().mean().expand(len(shots)),
        }
        return found | ({"hold": self._hold(batch)} if self.names else {})

    @torch.no_grad()
    def moved(self, batch: Batch) -> float:
        """Mean absolute difference, in [0, 2], by which images of other classes are drawn otherwise than before."""
        return round(float(self._hold(batch).mean()), 5) if self.names else 0.0

    def current(self, system: Translator, images: Tensor) -> ClassCode:
        """The class's code as it now is."""
        if self._encodes:
            return system.encode_exemplars(images, name="finetuned")
        values = self.code["code"].detach()[0].float().cpu().clone()
        return ClassCode(values, len(images), system.fingerprint, "finetuned")

    def _hold(self, batch: Batch) -> Tensor:
        with torch.no_grad():
            content, exemplars = self._others(batch)
            wanted = self._frozen(content, self._frozen.encode(exemplars))
        return absolute_difference(self.generator(content, self.generator.encode(exemplars)), wanted)

    def _others(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Content and exemplars of other classes: source images, or what the untouched model draws of the shots."""
        if "content" in batch.images:
            return batch.images["content"], batch.images["exemplars"]
        shots = batch.images["shots"]
        looks = self._frozen.encode(colours_mixed(shots, batch.draws, "signed"))
        drawn = self._frozen(shots, looks)
        return drawn.roll(1, 0), drawn


def _batches(
    shots: ImageSet, source: ClassSet | None, finetuning: ClassFineTuning, shares: Mapping[str, Any]
) -> Together:
    parts: dict[str, Batches] = {"shots": ImageBatches(shots, finetuning.batch_size, flip=finetuning.flip, **shares)}
    if source is not None:
        parts["source"] = Episodes(source, finetuning.batch_size, flip=finetuning.flip, **shares)
    return Together(parts)


def _own_distance(system: Translator, images: Tensor, code: ClassCode) -> float:
    """Mean absolute difference, in [0, 2], of the shots from themselves redrawn by their class's code."""
    return round(float((system.generate(content=images, exemplars=code).tensor - images).abs().mean()), 5)
