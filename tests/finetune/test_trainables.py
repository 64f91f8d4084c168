"""Every trainable: identity at the start, only declared tensors move, merging equals running."""

import pytest
import torch
from torch import Tensor

from lowshotgan.errors import DeltaError, RecipeError
from lowshotgan.finetune.adapted import AdaptedGenerator, average_style
from lowshotgan.finetune.recipe import parse_trainables
from lowshotgan.finetune.trainables import TRAINABLES
from lowshotgan.nets.stylegan2 import Generator

CASES = [
    *TRAINABLES,
    "freeze_lowres(side=8)",
    "affine_lora(rank=2, divisor=0)",
    "affine_lora(rank=3, scale=4.0)",
    "affine_plus(divisor=2)",
    "w_offset(scaled=True)",
    "w_offset(shared=True, scaled=True)",
    "w_offset + style_offset",
    "full + w_offset(gain=10) + style_offset(gain=10)",
    "affine_lora(2) + w_offset(scaled=True) + style_offset",
]
TEXT = {"freeze_lowres": "freeze_lowres(side=8)"}


def adapted(generator: Generator, text: str) -> AdaptedGenerator:
    return AdaptedGenerator(generator, parse_trainables(TEXT.get(text, text)))


def shaken(generator: Generator, text: str, *, by: float = 0.2) -> AdaptedGenerator:
    """An adapted generator whose trained tensors all moved."""
    model = adapted(generator, text)
    torch.manual_seed(7)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(by * torch.randn(parameter.shape))
    return model


@pytest.mark.parametrize("text", CASES)
def test_identity_before_the_first_step(generator: Generator, latents: Tensor, text: str) -> None:
    with torch.no_grad():
        torch.testing.assert_close(adapted(generator, text)(latents), generator(latents), atol=1e-6, rtol=0)


@pytest.mark.parametrize("text", CASES)
def test_merged_equals_unmerged(generator: Generator, latents: Tensor, text: str) -> None:
    model = shaken(generator, text)
    merged = model.merge()
    with torch.no_grad():
        if model.trains_mapping:
            merged.mapping.w_avg.copy_(generator.mapping.w_avg)
        moved = (model(latents) - generator(latents)).abs().max()
        for psi in (1.0, 0.5):
            torch.testing.assert_close(merged(latents, psi=psi), model(latents, psi=psi), atol=1e-5, rtol=1e-5)
    assert moved > 1e-3


@pytest.mark.parametrize("text", CASES)
def test_only_declared_tensors_get_gradients(generator: Generator, latents: Tensor, text: str) -> None:
    before = {name: value.clone() for name, value in generator.state_dict().items()}
    model = shaken(generator, text)
    model(latents).square().mean().backward()
    assert all(value.grad is None for value in generator.parameters())
    assert all(value.grad is not None and value.grad.isfinite().all() for value in model.parameters())
    assert set(model.state_dict()) == {f"parts.{name}" for name in model.delta()}
    for name, value in generator.state_dict().items():
        assert torch.equal(value, before[name])


@pytest.mark.parametrize("text", CASES)
def test_only_declared_parameters_change_on_merge(generator: Generator, text: str) -> None:
    model = shaken(generator, text)
    declared, base = set(model.overrides()), dict(generator.named_parameters())
    changed = {name for name, value in model.merge().named_parameters() if not torch.equal(value, base[name])}
    assert changed == declared


@pytest.mark.parametrize("text", CASES)
def test_delta_round_trip_is_exact(generator: Generator, latents: Tensor, text: str) -> None:
    model = shaken(generator, text)
    again = adapted(generator, text)
    again.load_delta(model.delta())
    with torch.no_grad():
        assert torch.equal(again(latents), model(latents))
    assert all(torch.equal(value, again.delta()[name]) for name, value in model.delta().items())


def test_what_each_trainable_changes(generator: Generator) -> None:
    def touched(text: str) -> set[str]:
        return set(adapted(generator, text).overrides())

    everything = {name for name, _ in generator.named_parameters()}
    affines = {name for name in everything if ".affine." in name}
    assert touched("full") == everything
    assert touched("affine") == affines
    assert touched("style_offset") == {name for name in affines if name.endswith("bias")}
    assert touched("freeze_lowres(side=8)") == {name for name in everything if name.startswith("synthesis.b16.")}
    block = {name for name in everything if name.startswith("synthesis.b8.") and name.endswith("conv.weight")}
    assert touched("affine_plus(divisor=2)") == affines | block
    masked = touched("fisher_mask")
    assert masked == {name for name in everything if name.startswith(("synthesis.b8.conv", "synthesis.b16.conv"))}


@pytest.mark.parametrize("kind", ["w_offset", "style_offset"])
def test_a_gain_multiplies_what_is_trained(generator: Generator, latents: Tensor, kind: str) -> None:
    plain, amplified = adapted(generator, kind), adapted(generator, f"{kind}(gain=4)")
    with torch.no_grad():
        for small, large in zip(amplified.parameters(), plain.parameters(), strict=True):
            small.copy_(torch.randn(small.shape, generator=torch.Generator().manual_seed(3)) * 0.1)
            large.copy_(4 * small)
        torch.testing.assert_close(amplified(latents), plain(latents), atol=1e-5, rtol=1e-5)
        assert (plain(latents) - generator(latents)).abs().max() > 1e-3


def test_w_offset_is_an_offset_of_w(generator: Generator, latents: Tensor) -> None:
    """Scale and offset in the affine layers equal scaling and shifting w itself, after truncation."""
    model = adapted(generator, "w_offset(shared=True, scaled=True)")
    scale, offset = 1 + 0.3 * torch.randn(16), 0.3 * torch.randn(16)
    with torch.no_grad():
        model.get_parameter("parts.w_offset.scale")[0] = scale
        model.get_parameter("parts.w_offset.offset")[0] = offset
        w = generator.truncate(generator.mapping(latents), 0.7)
        expected = generator.synthesis(generator.broadcast(scale * w + offset))
        torch.testing.assert_close(model(latents, psi=0.7), expected, atol=1e-5, rtol=1e-5)


def test_delta_sizes(generator: Generator) -> None:
    layers = 8  # 4x4: conv, rgb; two more blocks: two convs, rgb each
    assert adapted(generator, "w_offset").describe()["values"] == layers * 16
    assert adapted(generator, "w_offset(shared=True)").describe()["values"] == 16
    assert adapted(generator, "full").describe()["share"] == 1.0


def test_blend_is_linear_and_may_go_beyond(generator: Generator) -> None:
    model = shaken(generator, "w_offset + style_offset")
    base, full = dict(generator.named_parameters()), dict(model.merge().named_parameters())
    for strength in (0.0, 0.25, 1.5):
        for name, value in model.merge(strength=strength).named_parameters():
            expected = base[name] + strength * (full[name] - base[name])
            torch.testing.assert_close(value, expected, atol=1e-5, rtol=1e-5)


def test_merge_recomputes_the_average_style_if_the_mapping_moved(generator: Generator) -> None:
    merged = shaken(generator, "full").merge()
    torch.testing.assert_close(merged.mapping.w_avg, average_style(merged))
    untouched = shaken(generator, "w_offset").merge()
    assert torch.equal(untouched.mapping.w_avg, generator.mapping.w_avg)


def test_random_half_of_low_rank_depends_on_the_seed_alone(generator: Generator) -> None:
    parts = parse_trainables("affine_lora(2)")
    torch.manual_seed(1)
    first = AdaptedGenerator(generator, parts, seed=4).delta()
    torch.manual_seed(2)
    second, other = (
        AdaptedGenerator(generator, parts, seed=4).delta(),
        AdaptedGenerator(generator, parts, seed=5).delta(),
    )
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("w_offset + w_offset", "once"),
        ("style_offset + affine", "first"),
        ("freeze_lowres(side=16)", "nothing to train"),
        ("affine_plus(divisor=3)", "block of 5 px"),
        ("affine_plus(divisor=0)", "at least 1"),
        ("w_ofset", "Did you mean 'w_offset'"),
        ("affine_lora(ranks=3)", "Did you mean 'rank'"),
        ("affine_lora(1, 2, 3, 4)", "at most 3"),
        ("affine_lora(open('x'))", "plain numbers"),
        ("affine_lora(", "cannot read"),
        ("[1]", "cannot read"),
    ],
)
def test_unfit_trainables_are_refused_by_name(generator: Generator, text: str, says: str) -> None:
    with pytest.raises(RecipeError, match=says.replace("(", r"\(")):
        adapted(generator, text)


def test_a_delta_of_another_shape_is_refused(generator: Generator) -> None:
    model = adapted(generator, "w_offset")
    with pytest.raises(DeltaError, match="missing"):
        model.load_delta(adapted(generator, "style_offset").delta())
    with pytest.raises(DeltaError, match="expected"):
        model.load_delta({"w_offset.offset": torch.zeros(2, 16)})
