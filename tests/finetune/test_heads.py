"""What judges, and what of it trains; where latents come from."""

import pytest
import torch
from torch import Tensor

from lowshotgan.draws import Draws
from lowshotgan.errors import RecipeError
from lowshotgan.finetune.heads import FreezeD, Head, ImageHead, Judge, LinearProbe, PatchHead
from lowshotgan.finetune.latents import Anchors, Gaussian, Truncated
from lowshotgan.nets.stylegan2 import Discriminator, Generator

HEADS = [ImageHead(), FreezeD(), FreezeD(layers=1), PatchHead(), PatchHead(freeze_divisor=2), LinearProbe()]


def build(head: Head, discriminator: Discriminator) -> Judge:
    return head.build(discriminator, random=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("head", HEADS, ids=str)
def test_only_declared_parameters_get_gradients(head: Head, discriminator: Discriminator, images: Tensor) -> None:
    judge = build(head, discriminator)
    logits = [judge(images[:4], whole=whole).mean() for whole in (True, False)]
    torch.stack(logits).sum().backward()
    got = {name for name, value in judge.named_parameters() if value.grad is not None}
    assert got == set(judge.trained)
    assert all(value.grad is None for value in discriminator.parameters())


@pytest.mark.parametrize("head", [ImageHead(), FreezeD(), PatchHead()], ids=str)
def test_whole_images_are_judged_as_by_the_source(head: Head, discriminator: Discriminator, images: Tensor) -> None:
    assert torch.equal(build(head, discriminator)(images[:4]), discriminator(images[:4]))


def test_frozen_layers(discriminator: Discriminator) -> None:
    def frozen(head: Head) -> set[str]:
        judge = build(head, discriminator)
        return {
            name.removeprefix("discriminator.") for name, _ in judge.named_parameters() if name not in judge.trained
        }

    assert frozen(FreezeD(layers=1)) == {"b16.fromrgb.weight", "b16.fromrgb.bias"}
    assert len({name.rpartition(".")[0] for name in frozen(FreezeD(layers=4))}) == 4
    assert {name.split(".")[0] for name in frozen(FreezeD(side=8))} == {"b16"}
    assert frozen(FreezeD(side=64)) == frozen(FreezeD(side=8))  # at least the block nearest to the image
    assert {name.split(".")[0] for name in frozen(PatchHead(freeze_divisor=2))} == {"b16"}
    with pytest.raises(RecipeError, match="at least one to train"):
        frozen(FreezeD(layers=99))


def test_patch_logits_are_local(discriminator: Discriminator, images: Tensor) -> None:
    judge = build(PatchHead(divisor=2), discriminator)
    x = images[:1].clone()
    before = judge(x, whole=False)
    assert before.shape == (1, 1, 8, 8)
    x[..., :2, :2] = 1.0
    changed = (judge(x, whole=False) != before)[0, 0]
    assert changed[0, 0] and not changed[5:, 5:].any()
    with pytest.raises(RecipeError, match="map of 5 px"):
        build(PatchHead(divisor=3), discriminator)


def test_patch_and_whole_take_turns_without_anchors(discriminator: Discriminator, images: Tensor) -> None:
    judge = build(PatchHead(), discriminator)
    assert judge(images[:2], whole=None, step=0).shape == (2, 1)
    assert judge(images[:2], whole=None, step=1).ndim == 4


def test_probe_starts_undecided(discriminator: Discriminator, images: Tensor) -> None:
    judge = build(LinearProbe(), discriminator)
    assert torch.equal(judge(images[:4]), torch.zeros(4, 1))
    assert judge.trained == ["probe.weight", "probe.bias"]


def test_new_layers_depend_on_the_seed_alone(discriminator: Discriminator) -> None:
    torch.manual_seed(1)
    first = build(PatchHead(), discriminator).state_dict()
    torch.manual_seed(2)
    assert all(
        torch.equal(value, first[name]) for name, value in build(PatchHead(), discriminator).state_dict().items()
    )


def test_anchors_come_every_nth_step() -> None:
    source = Anchors(std=0.0, every=4, count=3).build(16, 6, seed=2)
    anchors = source.state_dict()["anchors"]
    for step in range(8):
        draw = source.draw(5, step, Draws(step))
        assert draw.whole is (step % 4 == 0)
        near = torch.cdist(draw.z, anchors).amin(dim=1) < 1e-4
        assert bool(near.all()) is (step % 4 == 0)
    assert torch.equal(Anchors(count=3).build(16, 6, seed=2).state_dict()["anchors"], anchors)
    with pytest.raises(RecipeError, match="count"):
        Anchors().build(16, 6, seed=0)


def test_mixing_and_truncation(generator: Generator) -> None:
    mixed = Gaussian(mixing=1.0).build(16, generator.num_ws, seed=0).draw(3, 0, Draws(0))
    ws = mixed.styles(generator)
    assert mixed.second is not None and 1 <= mixed.crossover < generator.num_ws
    assert torch.equal(ws[:, 0], generator.mapping(mixed.z))
    assert torch.equal(ws[:, -1], generator.mapping(mixed.second))
    assert mixed.whole is None
    plain = Truncated(psi=0.5).build(16, generator.num_ws, seed=0).draw(3, 0, Draws(0))
    assert torch.equal(plain.styles(generator)[:, 0], generator.truncate(generator.mapping(plain.z), 0.5))


def test_two_processes_draw_what_one_does() -> None:
    for latents in (Gaussian(), Anchors(count=4), Truncated()):
        source = latents.build(16, 6, seed=0)
        for step in range(4):
            whole = source.draw(8, step, Draws(step))
            halves = [source.draw(4, step, Draws(step, rank=rank, world_size=2)) for rank in (0, 1)]
            assert all(torch.equal(half.z, whole.z[rank::2]) for rank, half in enumerate(halves))
            assert {half.crossover for half in halves} == {whole.crossover}
