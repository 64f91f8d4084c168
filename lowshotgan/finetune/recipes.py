"""Named recipes: published methods as sums of parts, and ``auto``.

Rates and steps are those of short runs on small models; what a paper used differently stands beside it.
``docs/recipes`` explains each one.
"""

import dataclasses

from lowshotgan.checks import one_of
from lowshotgan.finetune.augment import Ada, DiffAugment
from lowshotgan.finetune.heads import FreezeD, LinearProbe, PatchHead
from lowshotgan.finetune.latents import Anchors, Gaussian, Truncated
from lowshotgan.finetune.parts import need
from lowshotgan.finetune.recipe import Recipe, with_steps
from lowshotgan.finetune.regularizers import Contrast, Ewc, Relation, Twins
from lowshotgan.finetune.trainables import AffineLora, AffinePlus, FisherMask, Full, StyleOffset, WOffset

TGAN = Recipe("tgan", steps=2000, paper="Wang et al., ECCV 2018")

TGAN_ADA = dataclasses.replace(TGAN, name="tgan_ada", augment=Ada(), paper="Karras et al., NeurIPS 2020")

FREEZE_D = dataclasses.replace(TGAN, name="freeze_d", head=FreezeD(side=16), paper="Mo et al. 2020")

EWC = dataclasses.replace(TGAN, name="ewc", regularizers=(Ewc(),), paper="Li et al., NeurIPS 2020")

CDC = Recipe(
    "cdc",
    latents=Anchors(std=0.1, every=4),
    regularizers=(Relation(weight=333.0, fresh=True),),
    head=PatchHead(),
    steps=1000,
    paper="Ojha et al., CVPR 2021",
)

WEDIT = Recipe(
    "wedit",
    trainable=(WOffset(),),
    augment=Ada(),
    steps=1500,
    lr=0.02,  # the paper: 0.0025 for up to 400,000 images
    paper="Duan et al., AAAI 2024",
)

STYLE_DOMAIN = Recipe(
    "style_domain",
    trainable=(AffineLora(rank=5),),
    augment=Ada(),
    steps=1500,
    lr=0.02,
    paper="Alanov et al., ICCV 2023",
)

RICK = Recipe(
    "rick",
    trainable=(FisherMask(),),
    head=FreezeD(layers=1),  # all but fromrgb
    steps=1750,
    batch=2,
    warm_up=250,
    warm_up_final=True,
    paper="Zhao et al., CVPR 2023",
)

GENDA = Recipe(
    "genda",
    trainable=(WOffset(shared=True, scaled=True),),
    latents=Truncated(psi=0.7),
    head=LinearProbe(),
    steps=600,
    lr=0.02,
    warm_up=50,
    max_images=20,
    paper="Yang et al. 2021",
)

FASTGAN = Recipe(
    "fastgan",
    latents=Gaussian(mixing=0.0),
    augment=DiffAugment("color,translation"),
    steps=50_000,
    lr=2e-4,
    d_lr=2e-4,
    batch=8,
    r1_gamma=0.0,
    scratch=True,
    min_images=50,
    paper="Liu et al., ICLR 2021",
)

AUTO_NEAR = Recipe(
    "auto",
    trainable=(Full(), WOffset(gain=10.0), StyleOffset(gain=10.0)),  # offsets alone draw no new strokes or shapes
    latents=Anchors(std=0.1, every=4),
    regularizers=(Relation(weight=300.0, end=100.0), Contrast(weight=0.5)),
    augment=Ada(speed=20.0),
    head=PatchHead(),
    steps=800,
    warm_up=50,
)

AUTO_FAR = dataclasses.replace(
    AUTO_NEAR,
    regularizers=(
        Relation(weight=100.0, end=30.0),
        Twins(weight=10.0),
    ),  # the judge alone does not move lines that far
    steps=600,
)

AUTO_MANY = Recipe(
    "auto",
    trainable=(AffinePlus(),),
    augment=Ada(speed=20.0),
    steps=1500,
    lr=0.02,
    warm_up=50,
)

AUTO_ONE = Recipe(
    "auto",
    trainable=(WOffset(),),
    latents=Truncated(psi=0.7),
    head=LinearProbe(),
    steps=500,
    lr=0.02,
    warm_up=50,
)

RECIPES: dict[str, Recipe] = {
    recipe.name: recipe for recipe in (TGAN, TGAN_ADA, FREEZE_D, EWC, CDC, WEDIT, STYLE_DOMAIN, RICK, GENDA, FASTGAN)
}
AUTO = "auto"
FEW, MANY = 20, 100
"""Up to ``FEW`` images the relation to the source is held; from ``MANY`` on augmentation adapts at the usual speed."""


def list_recipes(k: int | None = None) -> list[str]:
    """Names of all recipes, ``auto`` first; with ``k``, of those meant for that many images."""
    fit = [
        name
        for name, recipe in RECIPES.items()
        if k is None or (k >= recipe.min_images and (recipe.max_images is None or k <= recipe.max_images))
    ]
    return [AUTO, *fit]


def get_recipe(name: str, *, k: int, far: bool = False, steps: int | None = None) -> Recipe:
    """The recipe of a name.

    Args:
        name: one of ``list_recipes()``.
        k: number of target images.
        far: whether the target is far from the source (``finetune.proximity``); used by ``auto``.
        steps: instead of the recipe's.

    Raises:
        ConfigError: for an unknown name.
    """
    if one_of("recipe", name, list_recipes()) == AUTO:
        return resolve_auto(k, far=far, steps=steps)
    return with_steps(RECIPES[name], steps)


def resolve_auto(k: int, *, far: bool = False, steps: int | None = None) -> Recipe:
    """The recipe ``auto`` stands for.

    Args:
        k: number of target images.
        far: whether the target is far from the source.
        steps: instead of the recipe's.

    Raises:
        RecipeError: if ``k`` is below 1.
    """
    need(k >= 1, f"fine-tuning needs at least one image, got {k}.")
    if k == 1:
        return with_steps(AUTO_ONE, steps)
    if k > FEW:
        many = AUTO_MANY if k < MANY else dataclasses.replace(AUTO_MANY, augment=Ada())
        return with_steps(many, steps)
    return with_steps(AUTO_FAR if far else AUTO_NEAR, steps)
