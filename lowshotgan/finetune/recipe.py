"""A fine-tuning recipe: five independent parts and a schedule, as data.

    Recipe = Trainable x Latents x Regularizers x Augment x Head + schedule

A named method from the literature sets one or two parts and leaves the rest alone; see ``recipes``.
"""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lowshotgan.checks import check_types, did_you_mean
from lowshotgan.errors import RecipeError
from lowshotgan.finetune.augment import AUGMENTS, Augment, NoAugment
from lowshotgan.finetune.heads import HEADS, Head, ImageHead, LinearProbe
from lowshotgan.finetune.latents import LATENTS, Anchors, Gaussian, Latents
from lowshotgan.finetune.parts import (
    Part,
    changed,
    from_dict,
    has_field,
    make,
    need,
    need_number,
    parse,
)
from lowshotgan.finetune.regularizers import REGULARIZERS, Regularizer
from lowshotgan.finetune.trainables import TRAINABLES, FisherMask, Full, Trainable

_TABLES: dict[str, Mapping[str, Any]] = {
    "trainable": TRAINABLES,
    "latents": LATENTS,
    "regularizers": REGULARIZERS,
    "augment": AUGMENTS,
    "head": HEADS,
}
_LISTS = ("trainable", "regularizers")


@dataclass(frozen=True)
class Recipe:
    """How a pretrained generator is fine-tuned to K images.

    Attributes:
        name: for logs and reports; nothing depends on it.
        trainable: what moves, applied in order.
        latents: where latents come from.
        regularizers: what holds the generator near its source.
        augment: what happens to images before they are judged.
        head: what judges.
        steps: training steps.
        lr: Adam's learning rate of the generator's trained tensors.
        d_lr: of the discriminator and its head.
        batch: images per step, over all processes.
        r1_gamma: of the gradient penalty; ``None`` for ``2e-4 resolution^2 / batch`` (Karras et al. 2020, ADA code).
        r1_every: steps between gradient penalties.
        path_weight: of the path length penalty; 0 for none.
        path_every: steps between path length penalties.
        ema_half_life: of the average in steps; ``None`` for 300, or 100 in runs below 1,000 steps.
        warm_up: steps in which only the discriminator trains.
        warm_up_final: train only its last layers in these steps.
        flip: mirror the real images at random; off for text, logos and anything single-sided.
        scratch: starts from random weights instead of a pretrained generator.
        min_images: fewest images it is meant for.
        max_images: most images it is meant for; ``None`` for no limit.
        paper: where it comes from.
    """

    name: str = "custom"
    trainable: tuple[Trainable, ...] = (Full(),)
    latents: Latents = Gaussian()
    regularizers: tuple[Regularizer, ...] = ()
    augment: Augment = NoAugment()
    head: Head = ImageHead()
    steps: int = 1000
    lr: float = 2e-3
    d_lr: float = 2e-3
    batch: int = 4
    r1_gamma: float | None = None
    r1_every: int = 16
    path_weight: float = 0.0
    path_every: int = 4
    ema_half_life: float | None = None
    warm_up: int = 0
    warm_up_final: bool = False
    flip: bool = True
    scratch: bool = False
    min_images: int = 1
    max_images: int | None = None
    paper: str = ""

    def __post_init__(self) -> None:
        for slot in _LISTS:
            object.__setattr__(self, slot, tuple(getattr(self, slot)))
        plain = {name: value for name, value in vars(self).items() if name not in _TABLES}
        check_types(Recipe, plain, error=RecipeError)
        _check_schedule(self)
        _check_parts(self)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        data = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        for slot in _TABLES:
            value = data[slot]
            data[slot] = [part.to_dict() for part in value] if slot in _LISTS else value.to_dict()
        return data

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Recipe":
        """Read back what ``to_dict`` wrote.

        Raises:
            RecipeError: for unknown names or unfit values.
        """
        values = dict(data)
        unknown = sorted(set(values) - {field.name for field in dataclasses.fields(cls)})
        need(not unknown, f"a recipe has no setting {', '.join(unknown)}.")
        for slot, table in _TABLES.items():
            if slot in values:
                values[slot] = _read_slot(slot, table, values[slot])
        return cls(**values)

    def override(self, **changes: Any) -> "Recipe":
        """A copy with changes.

        Args:
            **changes: a setting (``lr=0.01``), a whole part by text (``augment="ada(target=0.5)"``), as object or as
                dict, or one field of a part by dotted name (``**{"head.side": 8}`` or ``head__side=8``). Where a slot
                holds several parts, ``regularizers.weight`` changes every part that has it and
                ``regularizers.relation.weight`` one. With other ``steps`` the warm-up is at most a fifth of them, unless
                ``warm_up`` is given as well.

        Raises:
            RecipeError: for unknown names or unfit values.
        """
        dotted = {name.replace("__", "."): value for name, value in changes.items()}
        start = self if "warm_up" in dotted else with_steps(self, dotted.pop("steps", None))
        values: dict[str, Any] = {field.name: getattr(start, field.name) for field in dataclasses.fields(self)}
        for name, value in sorted(dotted.items(), key=lambda item: item[0].count(".")):
            _apply_change(values, name, value)
        return Recipe(**values)

    def explain(self) -> str:
        """The parts in one line."""
        held = " + ".join(map(str, self.regularizers)) or "none"
        moved = " + ".join(map(str, self.trainable))
        return (
            f"{self.name}: trains {moved}; latents {self.latents}; held by {held}; augment {self.augment}; "
            f"judged by {self.head}"
        )


def with_steps(recipe: Recipe, steps: int | None) -> Recipe:
    """The recipe with another number of steps (``None`` for its own); the warm-up is at most a fifth of them."""
    if steps is None:
        return recipe
    need(isinstance(steps, int) and steps >= 1, f"steps must be a whole number of at least 1, got {steps!r}.")
    return dataclasses.replace(recipe, steps=steps, warm_up=min(recipe.warm_up, steps // 5))


def fit_to(recipe: Recipe, *, k: int, world_size: int = 1, accumulate: int = 1) -> Recipe:
    """The recipe with everything set that depends on the number of images.

    Args:
        recipe: any.
        k: number of target images.
        world_size: number of processes the batch is split over.
        accumulate: micro-batches it is cut into; images are compared within one of them.

    Raises:
        RecipeError: if the recipe is not meant for ``k`` images, or the batch cannot be split.
    """
    need(k >= 1, f"fine-tuning needs at least one image, got {k}.")
    need(
        k >= recipe.min_images,
        f"recipe {recipe.name} needs at least {recipe.min_images} images, got {k}; use recipe='auto' or add images.",
    )
    need(
        recipe.max_images is None or k <= recipe.max_images,
        f"recipe {recipe.name} is meant for at most {recipe.max_images} images, got {k}; use recipe='auto'.",
    )
    parts = world_size * accumulate
    smallest = math.ceil(smallest_batch(recipe) / world_size) * parts
    need(
        recipe.batch % parts == 0 and recipe.batch >= smallest,
        f"batch={recipe.batch} cannot be shared by {world_size} process(es) in {accumulate} micro-batch(es) each; "
        f"{recipe.name} needs a multiple of {parts} that is at least {smallest}.",
    )
    if isinstance(recipe.latents, Anchors) and recipe.latents.count == 0:
        return dataclasses.replace(recipe, latents=dataclasses.replace(recipe.latents, count=k))
    return recipe


def smallest_batch(recipe: Recipe) -> int:
    """Fewest images that its regularizers can compare."""
    return max([1, *(part.min_batch for part in recipe.regularizers)])


def parse_trainables(data: Any) -> tuple[Trainable, ...]:
    """Trainables from JSON (a list of ``{"kind": ...}``), from text, or as they are.

    Raises:
        RecipeError: for unknown names or unfit values.
    """
    return tuple(_read_slot("trainable", TRAINABLES, data))


def _check_schedule(recipe: Recipe) -> None:
    for name in ("steps", "batch", "r1_every", "path_every", "warm_up", "min_images"):
        value = getattr(recipe, name)
        low = 0 if name == "warm_up" else 1
        need(value >= low, f"{name} must be a whole number of at least {low}, got {value!r}.")
    for name in ("lr", "d_lr"):
        need_number(name, getattr(recipe, name), 1e-9, 1)
    for name in ("r1_gamma", "path_weight"):
        value = getattr(recipe, name)
        need_number(name, 0 if value is None else value, 0)
    if recipe.ema_half_life is not None:
        need_number("ema_half_life", recipe.ema_half_life, 1e-3)


def _check_parts(recipe: Recipe) -> None:
    for slot, table in _TABLES.items():
        value = getattr(recipe, slot)
        for part in value if slot in _LISTS else (value,):
            need(
                isinstance(part, tuple(table.values())),
                f"{slot} holds {part!r}, which is none of {', '.join(table)}.",
            )
    need(bool(recipe.trainable), "a recipe needs at least one trainable, for example w_offset.")
    for slot in _LISTS:
        kinds = [part.kind for part in getattr(recipe, slot)]
        need(len(set(kinds)) == len(kinds), f"{slot} names a part twice: {', '.join(kinds)}.")
    _check_fit(recipe)


def _check_fit(recipe: Recipe) -> None:
    """Refuse combinations that cannot work, by name."""
    masked = any(isinstance(part, FisherMask) for part in recipe.trainable)
    need(
        not (masked and len(recipe.trainable) > 1),
        f"fisher_mask cannot be combined with {_others(recipe, 'fisher_mask')}: it decides alone which filters move.",
    )
    need(
        not (masked and isinstance(recipe.head, LinearProbe)),
        "fisher_mask and linear_probe do not fit together: the probe leaves no discriminator filters to judge.",
    )
    copying = [part.kind for part in recipe.trainable if part.kind in _COPYING]
    need(
        len(copying) <= 1,
        f"trainables {' and '.join(copying)} do not fit together: both train the generator's own parameters.",
    )
    need(
        not copying or recipe.trainable[0].kind == copying[0],
        f"put {''.join(copying[:1])} first: it would replace what {recipe.trainable[0].kind} changes.",
    )
    need(
        not (recipe.scratch and recipe.regularizers),
        f"recipe {recipe.name} starts from scratch, so there is no source for "
        f"{', '.join(part.kind for part in recipe.regularizers)} to hold on to.",
    )
    smallest = smallest_batch(recipe)
    need(
        recipe.batch >= smallest,
        f"batch={recipe.batch} is too small: {', '.join(p.kind for p in recipe.regularizers)} compares images "
        f"within a batch; use at least {smallest}.",
    )
    need(recipe.warm_up < recipe.steps, f"warm_up={recipe.warm_up} must be below steps={recipe.steps}.")


_COPYING = ("full", "freeze_lowres", "affine", "affine_plus", "fisher_mask")


def _others(recipe: Recipe, kind: str) -> str:
    return ", ".join(part.kind for part in recipe.trainable if part.kind != kind)


def _read_slot(slot: str, table: Mapping[str, Any], value: Any) -> Any:
    parts = [part for item in _as_list(value) for part in _read_parts(slot, table, item)]
    if slot in _LISTS:
        return tuple(parts)
    need(len(parts) == 1, f"{slot} takes exactly one part, got {value!r}.")
    return parts[0]


def _as_list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]


def _read_parts(slot: str, table: Mapping[str, Any], item: Any) -> list[Any]:
    if isinstance(item, Part):
        return [item]
    if isinstance(item, str):
        text = item.replace("image+patch", "image_patch").replace("image + patch", "image_patch")
        if slot == "regularizers" and text.strip() in ("", "none"):
            return []
        if slot == "augment" and text.strip() == "":
            return [make(slot, table, "none", {})]
        return parse(slot, table, text)
    return [from_dict(slot, table, item)]


def _apply_change(values: dict[str, Any], name: str, value: Any) -> None:
    slot, _, rest = name.partition(".")
    if slot not in values:
        hint = did_you_mean(slot, values)
        raise RecipeError(f"a recipe has no setting {name!r}.{hint} Settings: {', '.join(values)}.")
    if not rest:
        values[slot] = _read_slot(slot, _TABLES[slot], value) if slot in _TABLES else value
        return
    need(slot in _TABLES, f"{slot} is a plain setting and has no {rest!r}; write {slot}=....")
    kind, _, field = rest.rpartition(".")
    parts = values[slot] if slot in _LISTS else (values[slot],)
    chosen = [part for part in parts if (not kind or part.kind == kind) and has_field(part, field)]
    need(
        bool(chosen),
        f"no part of {slot} has {rest!r}; it holds {', '.join(map(str, parts)) or 'nothing'}.",
    )
    replaced = tuple(changed(slot, part, {field: value}) if part in chosen else part for part in parts)
    values[slot] = replaced if slot in _LISTS else replaced[0]
