"""Augmentation: identity at p = 0, constants under geometry, two derivatives, and the controller."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from lowshotgan.draws import Draws
from lowshotgan.errors import RecipeError
from lowshotgan.finetune.ada import Controller, augment_bgc, recolour, sample_colour, sample_geometry, warp
from lowshotgan.finetune.augment import Ada, DiffAugment, Fixed, NoAugment


def images(batch: int = 4, side: int = 16) -> Tensor:
    return torch.rand(batch, 3, side, side, generator=torch.Generator().manual_seed(0)) * 2 - 1


def geometry(batch: int, p: float, side: int, seed: int = 0) -> Tensor:
    draws = Draws(seed)
    return sample_geometry(draws.uniform(batch, 14), draws.normal(batch, 4), p, side)


@pytest.mark.parametrize("part", [NoAugment(), Ada(), Fixed(p=0.0)])
def test_strength_zero_is_the_identity(part: NoAugment | Ada | Fixed) -> None:
    assert torch.equal(part.build(batch=4)(images(), Draws(0)), images())


@pytest.mark.parametrize("side", [16, 64, 128])
def test_no_operation_is_the_identity(side: int) -> None:
    """With every gate closed the whole path, wavelet filters included, reproduces the image."""
    x = images(2, side)
    back, colour = geometry(2, 0.0, side), sample_colour(torch.rand(2, 7), torch.randn(2, 3), 0.0)
    torch.testing.assert_close(recolour(warp(x, back), colour), x, atol=2e-5, rtol=0)


@pytest.mark.parametrize("side", [16, 128])
def test_geometry_leaves_a_constant_image_unchanged(side: int) -> None:
    x = torch.tensor([0.3, -0.8, 1.0]).view(1, 3, 1, 1).expand(8, 3, side, side)
    torch.testing.assert_close(warp(x, geometry(8, 1.0, side)), x, atol=2e-5, rtol=0)


def test_warp_against_known_moves() -> None:
    x = images(1, 8)
    flip = torch.diag(torch.tensor([-1.0, 1.0, 1.0]))[None]
    torch.testing.assert_close(warp(x, flip), x.flip(3))
    quarter = torch.tensor([[[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]])
    torch.testing.assert_close(warp(x, quarter), x.rot90(1, (2, 3)), atol=1e-5, rtol=0)
    shift = torch.eye(3)[None].clone()
    shift[:, 0, 2] = 2 * 2 / 8  # two pixels to the left
    torch.testing.assert_close(warp(x, shift), F.pad(x, (0, 2, 0, 0), mode="reflect")[..., 2:], atol=1e-5, rtol=0)


def test_warp_equals_grid_sample_inside_the_image() -> None:
    x, back = images(3, 16), torch.eye(3).repeat(3, 1, 1)
    back[:, :2, :2] = torch.randn(3, 2, 2, generator=torch.Generator().manual_seed(1)) * 0.3
    expected = F.grid_sample(x, F.affine_grid(back[:, :2], list(x.shape), align_corners=False), align_corners=False)
    torch.testing.assert_close(warp(x, back), expected, atol=1e-5, rtol=0)


def test_colour_keeps_what_it_should() -> None:
    grey = torch.full((64, 3, 2, 2), 0.25)
    draws = Draws(0)
    chance, normal = draws.uniform(64, 7), draws.normal(64, 3)
    chance[:, :3] = 1.0  # hue and saturation only
    torch.testing.assert_close(recolour(grey, sample_colour(chance, normal, 0.9)), grey, atol=1e-5, rtol=0)
    full = sample_colour(draws.uniform(64, 7), draws.normal(64, 3), 1.0)
    torch.testing.assert_close(full[:, 3], torch.tensor([0.0, 0.0, 0.0, 1.0]).expand(64, 4))


def test_each_operation_fires_with_probability_p() -> None:
    back = geometry(4000, 0.2, 64)
    untouched = (back - torch.eye(3)).abs().amax(dim=(1, 2)) < 1e-6
    flip_kept, quarter_kept, one = 0.9, 0.85, 0.8  # no-ops of flip and quarter turn count as kept
    expected = flip_kept * quarter_kept * one**6  # shift, scale, 2 half-rotations, stretch, drift
    assert abs(float(untouched.float().mean()) - expected / one) < 0.03  # the two rotations fire together with p


def test_second_derivatives() -> None:
    x = images(2, 6).double().requires_grad_(True)

    def apply(x: Tensor) -> Tensor:
        return augment_bgc(x, 0.9, Draws(3)).square()

    assert torch.autograd.gradgradcheck(apply, (x,), atol=1e-4, fast_mode=True)


def test_autocast_does_not_blur_coordinates() -> None:
    exact = augment_bgc(images(), 0.8, Draws(0))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(augment_bgc(images(), 0.8, Draws(0)), exact)


@pytest.mark.parametrize("part", [Ada(), Fixed(p=0.7), DiffAugment()])
def test_randomness_comes_from_the_draws_alone(part: Ada | Fixed | DiffAugment) -> None:
    augment = part.build(batch=4)
    if isinstance(augment.controller, Controller):
        augment.controller.p = 0.7
    torch.manual_seed(1)
    first = augment(images(), Draws(0))
    torch.manual_seed(2)
    assert torch.equal(first, augment(images(), Draws(0)))
    assert not torch.equal(first, augment(images(), Draws(1)))
    whole, parts = (
        augment(images(), Draws(0)),
        [augment(images()[r::2], Draws(0, rank=r, world_size=2)) for r in (0, 1)],
    )
    for rank, part_of in enumerate(parts):
        torch.testing.assert_close(part_of, whole[rank::2])


def test_diffaugment_operations() -> None:
    x = images(16, 16)
    cut = DiffAugment("cutout").build(batch=16)(x, Draws(0))
    holes = (cut == 0).all(dim=1).sum(dim=(1, 2))
    assert int(holes.min()) >= 16 and int(holes.max()) == 64  # a corner of it up to 8 x 8
    moved = DiffAugment("translation").build(batch=16)(x, Draws(0))
    assert (moved == 0).any() and torch.isin(moved, torch.cat([x.flatten(), torch.zeros(1)])).all()
    coloured = DiffAugment("color").build(batch=16)(x, Draws(0))
    assert (coloured - x).abs().amax(dim=(1, 2, 3)).min() > 1e-3
    x.requires_grad_(True)
    DiffAugment().build(batch=16)(x, Draws(0)).sum().backward()
    assert x.grad is not None and x.grad.abs().sum() > 0


def test_controller_moves_by_the_sign() -> None:
    controller = Controller(target=0.6, speed=1.0, cap=0.85, batch=10)
    for _ in range(8):
        controller.observe(torch.ones(4, 1))
        controller.update()
    assert controller.p == pytest.approx(2 * 10 * 4 / 1000)  # two changes of batch x 4 / (speed x 1000)
    state = controller.state_dict()
    for _ in range(200):
        controller.observe(torch.ones(4, 1))
        controller.update()
    assert controller.p == 0.85
    for _ in range(400):
        controller.observe(torch.tensor([1.0, -1.0]))
        controller.update()
    assert controller.p == 0.0
    controller.load_state_dict(state)
    assert controller.p == pytest.approx(0.08)


def test_controller_stands_still_while_only_the_generator_trains() -> None:
    controller = Controller(target=0.6, speed=1.0, cap=0.85, batch=10)
    for _ in range(8):
        controller.update()
    assert controller.p == 0.0


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: DiffAugment("colour"), "colour"),
        (lambda: DiffAugment(""), "policy"),
        (lambda: Fixed(p=1.5), "at most 1"),
        (lambda: Ada(speed=0), "speed"),
    ],
)
def test_bad_settings_are_refused(make: object, says: str) -> None:
    with pytest.raises(RecipeError, match=says):
        make()  # type: ignore[operator]
