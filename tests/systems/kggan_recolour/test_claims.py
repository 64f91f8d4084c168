"""What the claims about recolouring ask for, one by one (claims 8 to 16 of US 11379722)."""

import copy

import pytest
import torch
from torch import nn

from lowshotgan.api import create_model, train
from lowshotgan.data.shapes import painted_heads
from lowshotgan.draws import Draws
from lowshotgan.errors import ConfigError
from lowshotgan.losses.knowledge_guided import category_error, region_colour
from lowshotgan.systems.kggan_recolour.config import RecolourTraining
from lowshotgan.systems.kggan_recolour.networks import RecolourGenerator, Transform, combine
from lowshotgan.systems.kggan_recolour.stages import RecolourLosses
from lowshotgan.train.loop import LoopSettings, fit
from lowshotgan.train.machine import Machine
from lowshotgan.train.phases import only_trainable, weighted_loss
from lowshotgan.types import Batch

CLAIMS = RecolourTraining.PRESETS["claims"]
SIZES = {"resolution": 16, "transform_width": 4, "mask_width": 4, "discriminator_width": 4}


def tiny(**options):
    torch.manual_seed(0)
    return create_model("kggan_recolour_64", **{**SIZES, **options})


def heads():
    drawn = painted_heads(12, resolution=16)
    names = list(dict.fromkeys(drawn.labels))
    return {name: drawn.images[[label == name for label in drawn.labels]] for name in names}


@pytest.fixture
def model():
    return tiny()


@pytest.fixture
def setting(model):
    """The stage, its losses and one batch."""
    return make_setting(model)


def make_setting(model, **options):
    stage = next(model.stages(model.read_data(heads()), RecolourTraining(steps=1, batch_size=6, **options)))
    losses = stage.phases[0].terms.__self__
    assert isinstance(losses, RecolourLosses)
    return stage, losses, Batch(next(stage.batches), Draws(0), 0, 0.0)


def images(count=3, seed=0):
    return torch.rand(count, 3, 16, 16, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def changed_part(before, after):
    return any(not torch.equal(a, b) for a, b in zip(before.parameters(), after.parameters(), strict=True))


class FixedMask(nn.Module):
    def __init__(self, value):
        super().__init__()
        self.value = value

    def forward(self, x):
        return torch.full_like(x[:, :1], self.value)


def test_8_the_way_back_goes_through_the_first_generator_with_the_original_category(setting):
    _, losses, batch = setting
    calls, judged = [], []
    generator, judge = losses.generator, losses.discriminator
    to_category, to_colour = generator.to_category, generator.to_colour

    def spied_category(given, labels, **known):
        calls.append(("seen", given, labels, to_category(given, labels, **known)))
        return calls[-1][3]

    def spied_colour(given, colours, **known):
        calls.append(("unseen", given, colours, to_colour(given, colours, **known)))
        return calls[-1][3]

    generator.to_category, generator.to_colour = spied_category, spied_colour
    judge.register_forward_pre_hook(lambda module, args: judged.append(args[0].detach()))
    losses.training = RecolourTraining(steps=1, batch_size=6, shift=0.0)
    losses.discriminator_terms(batch)
    seen_images = [calls[0][3].images]
    losses.generator_terms(batch)
    made = [call for call in calls if call[0] == "unseen"]
    assert len(made) == 1
    back = [call for call in calls if call[0] == "seen" and call[1] is made[0][3].images]
    assert len(back) == 1 and torch.equal(back[0][2], batch.images["labels"])
    seen_images.append(calls[1][3].images)
    allowed = [batch.images["images"], *seen_images]
    assert len(judged) == 3 and all(any(torch.equal(one, other) for other in allowed) for one in judged)


def test_8_steps_change_exactly_the_named_networks(model, tmp_path):
    for phase in ("discriminator", "generator"):
        stage, losses, _ = make_setting(model)
        stage.phases = [each for each in stage.phases if each.name == phase]
        parts = {"seen": losses.generator.seen, "unseen": losses.generator.unseen, "mask": losses.generator.mask}
        parts["discriminator"] = losses.discriminator
        before = {name: copy.deepcopy(part) for name, part in parts.items()}
        fit([stage], output_dir=tmp_path / phase, machine=Machine("cpu"), settings=LoopSettings(precision="fp32"))
        changed = {name: changed_part(before[name], part) for name, part in parts.items()}
        assert changed == {name: (name == "discriminator") == (phase == "discriminator") for name in parts}
    theirs = [id(p) for name in ("seen", "unseen", "mask") for p in parts[name].parameters()]
    assert len(set(theirs)) == len(theirs)


def test_9_the_combiner_is_exact_and_the_mask_soft(model):
    generator, x, labels = model.generator, images(), torch.tensor([0, 1, 2])
    made = generator.to_category(x, labels)
    assert made.mask.shape == (3, 1, 16, 16) and 0 <= made.mask.min() <= made.mask.max() <= 1
    torch.testing.assert_close(made.images, made.mask * made.foreground + (1 - made.mask) * x, atol=0, rtol=0)
    generator.mask = FixedMask(0.0)
    assert torch.equal(generator.to_category(x, labels).images, x)
    assert torch.equal(generator.to_colour(x, images(3, 1)[:, :, 0, 0]).images, x)
    generator.mask = FixedMask(1.0)
    made = generator.to_category(x, labels)
    assert torch.equal(made.images, made.foreground)


def test_9_a_hard_mask_is_zero_or_one(model):
    pictures = painted_heads(3, resolution=16).images
    soft, hard = (model.recolor(pictures, color="#ff0000", hard=cut, mask=True) for cut in (False, True))
    assert set(hard.masks.unique().tolist()) <= {0.0, 1.0}
    assert torch.equal(hard.masks, (soft.masks > 0.5).float())


@pytest.mark.parametrize("names", [("adversarial", "category"), ("colour",), ("cycle_colour",)])
def test_10_the_mask_learns_from_each_of_the_three(setting, names):
    stage, losses, batch = setting
    losses.generator.unseen.filters.bias.data += 0.1  # away from the identity, where no mask matters
    losses.generator.seen.filters.bias.data += 0.1
    with only_trainable(stage, "generator"):
        terms = losses.generator_terms(batch)
        total = sum(terms[name].mean() for name in names)
        found = torch.autograd.grad(total, list(losses.generator.mask.parameters()))
    assert all(torch.isfinite(g).all() for g in found) and sum(float(g.abs().sum()) for g in found) > 0


def test_11_the_colour_is_three_numbers_and_the_mask_the_same_one(model):
    generator, x = model.generator, images()
    with pytest.raises(ConfigError, match="three channels"):
        model.recolor(painted_heads(1, resolution=16).images, color=(0.1, 0.2))
    used = []
    generator.mask.register_forward_hook(lambda module, *_: used.append(module))
    generator.to_category(x, torch.zeros(3, dtype=torch.long)), generator.to_colour(x, torch.zeros(3, 3))
    assert used == [generator.mask, generator.mask]

    class Half(nn.Module):
        def forward(self, given):
            mask = torch.ones_like(given[:, :1])
            mask[..., :8] = 0
            return mask

    generator.mask = Half()
    generator.unseen.filters.weight.data.normal_()
    red, blue = (generator.to_colour(x, torch.tensor([c]).expand(3, 3)).images for c in ([1.0, -1, -1], [-1.0, -1, 1]))
    assert torch.equal(red[..., :8], x[..., :8]) and torch.equal(blue[..., :8], x[..., :8])
    assert not torch.allclose(red[..., 8:], blue[..., 8:])


@pytest.mark.parametrize("hidden", [0, 6, 8])
def test_12_the_foreground_is_a_generated_one_by_one_convolution(hidden):
    torch.manual_seed(0)
    transform = Transform(3, width=4, hidden=hidden)
    x, colours = images(), images(3, 5)[:, :, 0, 0]
    start = transform.filters.bias.clone()
    same = transform.apply_filters(x, start.expand(3, -1))
    torch.testing.assert_close(same, x, atol=1e-6, rtol=1e-5)
    transform.filters.weight.data.normal_(std=0.3)
    filters = transform.predict(x, colours)
    for row, one in zip(filters, x, strict=True):
        if hidden:
            a, b, c, d = row.split([3 * hidden, hidden, 3 * hidden, 3])
            inner = torch.einsum("oc,chw->ohw", a.view(hidden, 3), one) + b[:, None, None]
            inner = torch.where(inner > 0, inner, 0.2 * inner)
            expected = torch.einsum("oc,chw->ohw", c.view(3, hidden), inner) + d[:, None, None]
        else:
            expected = torch.einsum("oc,chw->ohw", row[:9].view(3, 3), one) + row[9:, None, None]
        found = transform.apply_filters(one[None], row[None])[0]
        torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-5)
    order = torch.randperm(256, generator=torch.Generator().manual_seed(2))
    shuffled = x.flatten(2)[..., order].view_as(x)
    expected = transform.apply_filters(x, filters).flatten(2)[..., order].view_as(x)
    torch.testing.assert_close(transform.apply_filters(shuffled, filters), expected)
    assert not torch.allclose(filters, transform.predict(x, -colours))
    assert not torch.allclose(filters, transform.predict(images(3, 9), colours))


def test_13_the_colour_of_a_region():
    colour = torch.tensor([[0.2, -0.4, 0.6]])
    flat = colour[:, :, None, None].expand(1, 3, 8, 8).clone()
    region = torch.zeros(1, 1, 8, 8)
    region[..., 2:6, 2:6] = 1
    torch.testing.assert_close(region_colour(flat, region), colour, atol=1e-3, rtol=0)
    other = flat.clone()
    other[..., 0, 0] = 9.0
    torch.testing.assert_close(region_colour(other, region), region_colour(flat, region))
    assert torch.isfinite(region_colour(flat, torch.zeros_like(region))).all()
    x, weights = images(1).requires_grad_(True), torch.rand(1, 1, 16, 16).requires_grad_(True)
    found = torch.autograd.grad(region_colour(x, weights).sum(), [x, weights])
    assert all(g.abs().sum() > 0 for g in found)
    slow = (x * weights).sum((2, 3)) / (weights.sum((2, 3)) + 1e-4 * 256)
    torch.testing.assert_close(region_colour(x, weights), slow)


def test_14_the_discriminator_has_both_heads(setting):
    _, losses, batch = setting
    logits, category = losses.discriminator(batch.images["images"])
    assert logits.shape == (6, 1, 2, 2) and category.shape == (6, 3)
    losses.training = RecolourTraining(steps=1, batch_size=6, shift=0.0)
    losses.discriminator.eval()
    terms = losses.generator_terms(Batch(batch.images, Draws(4), 0, 0.0))
    wanted = losses.draw_labels(6, Draws(4))
    _, category = losses.discriminator(losses.generator.to_category(batch.images["images"], wanted).images)
    torch.testing.assert_close(terms["category"], nn.functional.cross_entropy(category, wanted, reduction="none"))
    perfect = 100.0 * nn.functional.one_hot(wanted, 3).float()
    assert category_error(perfect, wanted).max() < 1e-6


def test_15_the_discriminator_learns_from_both_results(model):
    stage, losses, batch = make_setting(model, **CLAIMS)
    phase = stage.phases[0]
    parameters = list(losses.discriminator.parameters())
    optimizer = torch.optim.Adam(parameters, lr=2e-3)

    def terms():
        return losses.discriminator_terms(Batch(batch.images, Draws(1), 0, 0.0))

    assert set(terms()) == {"adversarial", "category", "category_fake"}
    first, _ = weighted_loss(phase, terms(), 0.0)
    with only_trainable(stage, "discriminator"):
        for _ in range(15):
            optimizer.zero_grad()
            weighted_loss(phase, terms(), 0.0)[0].backward()
            optimizer.step()
        last, _ = weighted_loss(phase, terms(), 0.0)
        assert last < first
        head = list(losses.discriminator.category.parameters())
        found = torch.autograd.grad(terms()["adversarial"].mean(), head, allow_unused=True)
    assert all(g is None or not g.any() for g in found)


def test_16_the_generators_learn_from_realism_category_colour_and_cycle(model):
    stage, losses, batch = make_setting(model)
    phase, parameters = stage.phases[1], list(losses.generator.parameters())
    losses.generator.seen.filters.bias.data += 0.1
    losses.generator.unseen.filters.bias.data += 0.1
    losses.discriminator.eval()
    optimizer = torch.optim.Adam(parameters, lr=2e-3)

    def terms():
        return losses.generator_terms(Batch(batch.images, Draws(1), 0, 0.0))

    with only_trainable(stage, "generator"):
        for name in ("adversarial", "category", "colour", "cycle_colour", "cycle"):
            found = torch.autograd.grad(terms()[name].mean(), parameters, allow_unused=True)
            assert sum(float(g.abs().sum()) for g in found if g is not None) > 0
        first, _ = weighted_loss(phase, terms(), 0.0)
        for _ in range(15):
            optimizer.zero_grad()
            weighted_loss(phase, terms(), 0.0)[0].backward()
            optimizer.step()
        assert weighted_loss(phase, terms(), 0.0)[0] < first


def test_the_preset_has_the_terms_of_the_claims_and_two_errors_of_categories(model, tmp_path):
    stage, _, batch = make_setting(model, **CLAIMS, accuracy=0.0)
    for step in range(3):
        stage.on_step[0](step, {})  # the ramp is over
    used = {}
    for phase in stage.phases:
        weights = {name: w(1.0) if callable(w) else w for name, w in phase.weights.items()}
        terms = phase.terms(Batch(batch.images, Draws(0), 0, 0.0))
        used[phase.name] = {name for name, weight in weights.items() if weight and name in terms}
    assert used["discriminator"] == {"adversarial", "category", "category_fake"}
    assert used["generator"] == {"adversarial", "category", "colour", "cycle_colour"}
    options = {"steps": 1, "batch_size": 4, "preset": "claims", "area_weight": 0.5}
    told = train(model, heads(), output_dir=tmp_path / "run", dry_run=True, **options)["train"]
    assert told["area_weight"] == 0.5 and told["indecision_weight"] == 0.0 and told["foreground_share"] == 1.0
    with pytest.raises(ConfigError, match="claims, default"):
        train(model, heads(), output_dir=tmp_path / "run", dry_run=True, preset="claim")


def test_claims_compare_the_colour_on_the_foreground_only(model):
    _, losses, batch = make_setting(model, **CLAIMS)
    found = losses.generator_terms(Batch(batch.images, Draws(2), 0, 0.0))["colour"]
    draws = Draws(2)
    losses.draw_labels(6, draws)
    colours = losses.draw_colours(6, draws)
    assert colours.min() >= 0.05 * 2 - 1 and colours.max() <= 0.95 * 2 - 1
    made = losses.generator.to_colour(batch.images["images"], colours)
    mean = (made.foreground * made.mask).sum((2, 3)) / (made.mask.sum((2, 3)) + 1e-4 * 256)
    torch.testing.assert_close(found, (mean - colours).abs().sum(1))


def test_the_generator_holds_two_transforms_and_one_mask():
    generator = RecolourGenerator(64, 3)

    def conv(a, b, k, bias=True):
        return a * b * k * k + b * bias

    for transform, told in ((generator.seen, 3), (generator.unseen, 3)):
        convs = conv(3 + told, 20, 4) + conv(20, 40, 4) + conv(40, 40, 4)
        assert sum(p.numel() for p in transform.parameters()) == convs + 41 * 64 + 65 * 12
    down = [(3, 16, 3), (16, 32, 4), (32, 64, 4), (64, 64, 4), (64, 64, 4)]
    up = [(128, 64, 3), (128, 64, 3), (96, 32, 3), (48, 16, 3)]
    expected = sum(conv(a, b, k, bias=False) + 2 * b for a, b, k in down + up) + 17
    assert sum(p.numel() for p in generator.mask.parameters()) == expected
    x = images(2)
    assert torch.equal(combine(x, -x, torch.zeros(2, 1, 16, 16)).images, x)
