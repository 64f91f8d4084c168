"""Recipes as data: JSON, overrides, refusals, the named ones and ``auto``."""

import json

import pytest
import torch
import torch.nn.functional as F

from lowshotgan.data.synthetic import faces
from lowshotgan.errors import ConfigError, RecipeError
from lowshotgan.finetune.augment import Ada, NoAugment
from lowshotgan.finetune.heads import FreezeD, LinearProbe, PatchHead
from lowshotgan.finetune.latents import Anchors
from lowshotgan.finetune.proximity import proximity
from lowshotgan.finetune.recipe import Recipe, fit_to, with_steps
from lowshotgan.finetune.recipes import RECIPES, get_recipe, list_recipes, resolve_auto
from lowshotgan.finetune.regularizers import Contrast, Ewc, Relation, Twins
from lowshotgan.finetune.trainables import Affine, FisherMask, Full, StyleOffset, WOffset
from lowshotgan.metrics.perceptual import perceptual_distance

ALL = [*RECIPES.values(), *(resolve_auto(k, far=far) for k in (1, 2, 10, 30, 200) for far in (False, True))]


@pytest.mark.parametrize("recipe", ALL, ids=lambda recipe: recipe.name)
def test_json_round_trip(recipe: Recipe) -> None:
    assert Recipe.from_dict(json.loads(json.dumps(recipe.to_dict()))) == recipe
    assert recipe.explain().startswith(recipe.name)


def test_list_recipes() -> None:
    assert list_recipes()[0] == "auto"
    assert set(list_recipes()) == {
        "auto", "tgan", "tgan_ada", "freeze_d", "ewc", "cdc", "wedit", "style_domain", "rick", "genda", "fastgan"
    }  # fmt: skip
    assert "fastgan" not in list_recipes(10) and "fastgan" in list_recipes(100)
    assert "genda" in list_recipes(1) and "genda" not in list_recipes(100)
    with pytest.raises(ConfigError, match="Did you mean 'cdc'"):
        get_recipe("cdcc", k=10)


def test_auto_follows_count_and_proximity() -> None:
    assert isinstance(resolve_auto(1).head, LinearProbe)
    near, far = resolve_auto(10), resolve_auto(10, far=True)
    assert [part.kind for part in near.trainable] == ["full", "w_offset", "style_offset"]
    assert [part.kind for part in near.regularizers] == ["relation", "contrast"]
    assert far.regularizers == (Relation(weight=100, end=30), Twins())
    assert resolve_auto(30).regularizers == ()
    assert resolve_auto(200).augment != resolve_auto(30).augment
    assert resolve_auto(10, steps=40).steps == 40
    with pytest.raises(RecipeError, match="at least one image"):
        resolve_auto(0)


def test_override_settings_and_parts() -> None:
    recipe = resolve_auto(10)
    changed = recipe.override(
        lr=0.01,
        augment="ada(target=0.5)",
        **{"regularizers.relation.weight": 50, "latents.std": 0.05, "head.divisor": 4},
    )
    assert changed.lr == 0.01
    assert changed.augment == Ada(target=0.5)
    assert changed.regularizers == (Relation(weight=50, end=100.0), Contrast(weight=0.5))
    assert changed.latents == Anchors(std=0.05)
    assert changed.head == PatchHead(divisor=4)
    assert recipe.override(head__divisor=4).head == PatchHead(divisor=4)
    assert recipe.override(regularizers__weight=1.0).regularizers == (Relation(1.0, end=100.0), Contrast(1.0))
    assert recipe.override(augment="none", regularizers="none").regularizers == ()
    assert recipe.override(trainable="w_offset + style_offset").trainable == (WOffset(), StyleOffset())
    assert recipe.override(head="image+patch").head == PatchHead()
    assert recipe.override(head={"kind": "freeze_d", "side": 8}, augment=NoAugment()).head == FreezeD(8)
    assert recipe.override(head="freeze_d", head__side=8).head == FreezeD(8)
    assert RECIPES["rick"].override(steps=100).warm_up == 20
    assert RECIPES["rick"].override(steps=100, warm_up=60).warm_up == 60


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"stepps": 1}, "Did you mean 'steps'"),
        ({"lr": -1}, "lr must be"),
        ({"steps": 0}, "steps must be"),
        ({"batch": True}, "batch must be"),
        ({"flip": "no"}, "flip must be true or false, got 'no'"),
        ({"max_images": 2.5}, "max_images must be a whole number or None"),
        ({"regularizers.fresh": "no"}, "fresh must be true or false"),
        ({"augment": "ada(target='high')"}, "target must be a number"),
        ({"batch": 1}, "batch=1 is too small"),
        ({"lr.x": 1}, "plain setting"),
        ({"head.sides": 8}, "no part of head"),
        ({"regularizers.ewc.weight": 8}, "no part of regularizers"),
        ({"augment": "adda"}, "Did you mean 'ada'"),
        ({"augment": "ada + fixed"}, "exactly one"),
        ({"augment": 3}, "kind"),
        ({"latents": "anchors(every=0)"}, "every"),
        ({"warm_up": 5000}, "warm_up"),
        ({"trainable": "full + affine"}, "do not fit together"),
        ({"trainable": "w_offset + full"}, "first"),
        ({"trainable": "fisher_mask + w_offset"}, "cannot be combined"),
        ({"trainable": "fisher_mask", "head": "linear_probe"}, "do not fit together"),
        ({"trainable": []}, "at least one trainable"),
        ({"trainable": "w_offset + w_offset"}, "twice"),
        ({"scratch": True}, "from scratch"),
        ({"ema_half_life": 0}, "ema_half_life"),
    ],
)
def test_unfit_changes_are_refused_by_name(changes: dict[str, object], says: str) -> None:
    with pytest.raises(RecipeError, match=says):
        resolve_auto(10).override(**changes)


def test_wrong_objects_in_slots_are_refused() -> None:
    with pytest.raises(RecipeError, match="none of"):
        Recipe(head=Ada())  # type: ignore[arg-type]
    with pytest.raises(RecipeError, match="no setting colour"):
        Recipe.from_dict({"colour": 1})
    with pytest.raises(RecipeError, match="at most 100"):
        FisherMask(freeze=101)
    assert Recipe(trainable=(Affine(),)) != Recipe(trainable=(Full(),), regularizers=(Ewc(),))


def test_fit_to_the_number_of_images() -> None:
    assert fit_to(RECIPES["cdc"], k=7).latents == Anchors(count=7)
    with pytest.raises(RecipeError, match="at least 50 images"):
        fit_to(RECIPES["fastgan"], k=10)
    with pytest.raises(RecipeError, match="at most 20 images"):
        fit_to(RECIPES["genda"], k=21)
    with pytest.raises(RecipeError, match="at least one image"):
        fit_to(RECIPES["tgan"], k=0)
    with pytest.raises(RecipeError, match="multiple of 3"):
        fit_to(RECIPES["cdc"], k=10, world_size=3)


@pytest.mark.parametrize(
    ("batch", "world_size", "accumulate", "smallest"),
    [(2, 1, 1, None), (4, 1, 2, 6), (4, 2, 2, 8), (8, 4, 2, None), (3, 1, 1, None), (4, 4, 1, None)],
)
def test_a_relation_is_never_between_two_images_only(
    batch: int, world_size: int, accumulate: int, smallest: int | None
) -> None:
    options = {"k": 10, "world_size": world_size, "accumulate": accumulate}
    if batch < 3:
        with pytest.raises(RecipeError, match="too small.*at least 3"):
            RECIPES["cdc"].override(batch=batch)
    elif smallest is not None:
        with pytest.raises(RecipeError, match=f"at least {smallest}"):
            fit_to(RECIPES["cdc"].override(batch=batch), **options)
        assert fit_to(RECIPES["cdc"].override(batch=smallest), **options).batch == smallest
    else:
        assert fit_to(RECIPES["cdc"].override(batch=batch), **options).batch == batch


def test_with_steps_shortens_the_warm_up() -> None:
    assert with_steps(RECIPES["rick"], 100).warm_up == 20
    assert with_steps(RECIPES["rick"], None) == RECIPES["rick"]
    with pytest.raises(RecipeError, match="steps"):
        with_steps(RECIPES["rick"], 0)


def test_proximity_is_the_ratio_of_two_mean_distances() -> None:
    torch.manual_seed(0)
    source, target = torch.randint(0, 256, (2, 6, 3, 16, 16), dtype=torch.uint8)
    across = torch.stack(
        [perceptual_distance(pooled_maps, target[i : i + 1].expand_as(source), source) for i in range(6)]
    )
    among = torch.stack(
        [perceptual_distance(pooled_maps, source[i : i + 1].expand_as(source), source) for i in range(6)]
    )
    expected = float(across.mean() / (among.sum() / 30))
    assert proximity(pooled_maps, target, source) == pytest.approx(expected, rel=1e-4)


def test_proximity_tells_near_from_far() -> None:
    source = faces(40, style="flat", resolution=32, seed=0)
    same, other = faces(8, style="flat", resolution=32, seed=1), 255 - faces(8, style="flat", resolution=32, seed=2)
    near, far = proximity(pooled_maps, same, source), proximity(pooled_maps, other, source)
    assert 0.8 < near < 1.2 < 1.5 < far
    with pytest.raises(RecipeError, match="two source images"):
        proximity(pooled_maps, same, source[:1])


def pooled_maps(images: torch.Tensor) -> list[torch.Tensor]:
    x = images.float() / 255
    return [torch.cat([F.avg_pool2d(x, 4), torch.ones(len(x), 1, *[side // 4 for side in x.shape[2:]])], dim=1)]
