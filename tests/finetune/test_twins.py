"""Twins: samples of the source with the outlines of the target images, and the distance that pulls them there."""

import pytest
import torch
from torch import Tensor

from lowshotgan.draws import Draws
from lowshotgan.errors import RecipeError
from lowshotgan.finetune.adapted import AdaptedGenerator
from lowshotgan.finetune.engine import build_stage
from lowshotgan.finetune.recipe import Recipe
from lowshotgan.finetune.regularizers import SourceModel, Twins
from lowshotgan.finetune.trainables import Full
from lowshotgan.finetune.twins import find_twins, outlines, unlikeness
from lowshotgan.nets.stylegan2 import Discriminator, Generator


class Scene:
    """An adapted generator without noise."""

    def __init__(self, live: AdaptedGenerator, *, count: int) -> None:
        self.live, self.count, self.draws = live, count, Draws(3)

    def draw(self, styles: Tensor) -> Tensor:
        drawn = self.live.synthesis(styles, noise="none")
        assert isinstance(drawn, Tensor)
        return drawn


def test_outlines_ignore_colour_contrast_and_sign() -> None:
    images = torch.rand(3, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    same = outlines(images)
    torch.testing.assert_close(same.square().sum(1), torch.ones(3))
    torch.testing.assert_close((same * outlines(-images)).sum(1), torch.ones(3))
    assert ((same * outlines(0.5 * images + 0.2)).sum(1) > 0.999).all()
    assert ((same * outlines(images.roll(1, dims=0))).sum(1) < 0.9).all()


def test_the_twin_of_a_negative_is_its_sample(generator: Generator) -> None:
    generator = generator.requires_grad_(False)
    latents = Draws(5).normal(40, generator.z_dim)  # what find_twins draws with this seed
    wanted = [7, 31, 12]
    with torch.no_grad():
        images = -generator(latents[wanted])
        own = generator.broadcast(generator.mapping(latents[wanted]))
    twins = find_twins(generator, images, candidates=40, seed=5)
    assert twins.shape == (3, generator.num_ws, generator.w_dim) and not twins.requires_grad
    torch.testing.assert_close(twins, own, atol=0.1, rtol=0)


def test_each_image_has_a_twin_of_its_own_and_moving_it_brings_the_outlines_nearer(generator: Generator) -> None:
    generator = generator.requires_grad_(False)
    random = torch.Generator().manual_seed(1)
    images = (torch.rand(1, 3, 16, 16, generator=random) * 2 - 1).repeat(4, 1, 1, 1)
    twins = find_twins(generator, images, candidates=2, seed=0)  # fewer than images: four are drawn
    assert len({tuple(styles.flatten().tolist()) for styles in twins}) == 4
    with torch.no_grad():
        best = (outlines(generator(Draws(0).normal(4, generator.z_dim))) @ outlines(images[:1]).T).max()
        assert (outlines(generator.synthesis(twins)) @ outlines(images[:1]).T).max() > best


def test_unlikeness_is_zero_for_equal_images_and_grows(discriminator: Discriminator) -> None:
    images = torch.rand(4, 3, 16, 16, generator=torch.Generator().manual_seed(2)) * 2 - 1
    assert unlikeness(discriminator, images, images).tolist() == [0, 0, 0, 0]
    near, far = (unlikeness(discriminator, images + step, images) for step in (0.1, 0.5))
    assert near.shape == (4,) and (far > near).all() and (near > 0.2).all()  # 0.2 is the pixels' share


def test_a_short_training_turns_twins_into_the_images(generator: Generator, discriminator: Discriminator) -> None:
    generator, discriminator = generator.requires_grad_(False), discriminator.requires_grad_(False)
    images = torch.zeros(2, 3, 16, 16)
    images[0, 0, 4:12, 4:12], images[1, 2, :, 8:] = 1.0, 1.0
    live = AdaptedGenerator(generator, (Full(),))
    penalty = Twins(candidates=20, spread=0.0).build(SourceModel(generator, discriminator, (), 0, images))
    optimiser = torch.optim.Adam(live.parameters(), lr=0.02)
    values = []
    for _ in range(40):
        loss = penalty(Scene(live, count=4))
        assert loss.shape == (4,)
        optimiser.zero_grad()
        loss.mean().backward()
        optimiser.step()
        values.append(loss.mean().item())
    assert sum(values[-5:]) < 0.6 * sum(values[:5])
    assert all(parameter.grad is None for parameter in [*generator.parameters(), *discriminator.parameters()])


def test_twins_need_the_images(
    generator: Generator, discriminator: Discriminator, images: Tensor, batches: type
) -> None:
    recipe = Recipe(regularizers=(Twins(),), steps=2)
    with pytest.raises(RecipeError, match="pass images="):
        build_stage(generator, discriminator, batches(images, 4), recipe)
