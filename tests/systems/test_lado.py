"""LaDo as a system: loss terms by hand, what each stage may change, both domains from one seed, mixing, resuming."""

import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from lowshotgan.api import create_model, finetune, load, train
from lowshotgan.data.images import to_pil
from lowshotgan.data.pairs import load_pairs
from lowshotgan.data.synthetic import faces
from lowshotgan.draws import Draws
from lowshotgan.errors import ConfigError, WeightsNotFoundError
from lowshotgan.nets.batch_norm import batch_statistics
from lowshotgan.systems.lado.config import LaDoConfig, LaDoFineTuning, LaDoTraining
from lowshotgan.systems.lado.stages import SourceLosses, TargetLosses
from lowshotgan.systems.lado.system import LaDo
from lowshotgan.systems.perception import load_perception
from lowshotgan.train.loop import LoopSettings, fit
from lowshotgan.train.machine import Machine
from lowshotgan.types import Batch

CONFIG = LaDoConfig(resolution=16, content_dim=6, appearance_dim=4, width=4)
TRAINING = LaDoTraining(steps=2, batch_size=8)
FINETUNING = LaDoFineTuning(steps=2, align_steps=2, batch_size=8, perceptual="disc")
FP32 = {"precision": "fp32", "device": "cpu", "progress": False}


def make(adapted=False, **config):
    torch.manual_seed(0)
    return LaDo(replace(CONFIG, adapted=adapted, **config), arch="lado_64").eval()


def snapshot(module):
    return {name: value.detach().clone() for name, value in module.state_dict().items()}


def moved(module, before):
    """Whether parameters changed; a network that is held must keep its buffers too."""
    now = module.state_dict()
    same = [torch.equal(now[name], value) for name, value in before.items()]
    assert set(now) == set(before)
    parameters = {name for name, _ in module.named_parameters()}
    changed = {name for name, equal in zip(before, same, strict=True) if not equal}
    assert not changed or changed & parameters, "only buffers moved"
    return bool(changed)


def run(stages, folder, **settings):
    return fit(stages, output_dir=folder, machine=Machine("cpu"), settings=LoopSettings(precision="fp32", **settings))


def parts(system):
    nets, judges = system.generator, system.discriminator
    found = {"E_c": nets.content, "E_s": nets.appearance.source, "G_s": nets.image.source, "D_s": judges.source}
    if nets.image.target is not None:
        found |= {"E_t": nets.appearance.target, "G_t": nets.image.target, "D_t": judges.target}
    return found


def changes(system, stage, folder):
    before = {name: snapshot(part) for name, part in parts(system).items()}
    run([stage], folder)
    return {name for name, part in parts(system).items() if moved(part, before[name])}


# ---- what each stage changes ----


def test_source_training_changes_all_source_networks(sources, tmp_path):
    system = make()
    (stage,) = system.stages(system.read_data(sources), TRAINING)
    assert changes(system, stage, tmp_path) == {"E_c", "E_s", "G_s", "D_s"}


def test_alignment_changes_the_content_encoder_and_the_target_stage_the_target(pairs, tmp_path):
    system = make()
    stages = system.finetune_stages(system.read_shots(pairs), FINETUNING)
    assert changes(system, next(stages), tmp_path / "align") == {"E_c"}
    target = next(stages)
    nets = system.generator
    assert all(
        torch.equal(a, b) for a, b in zip(nets.image.source.parameters(), nets.image.target.parameters(), strict=True)
    )
    assert changes(system, target, tmp_path / "target") == {"E_t", "G_t", "D_t"}
    assert next(stages, None) is None


@pytest.mark.parametrize("phase", ["discriminator", "generator", "encoders"])
def test_each_phase_of_the_source_stage_moves_its_own_networks(phase, sources, tmp_path):
    system = make()
    (stage,) = system.stages(system.read_data(sources), TRAINING)
    held = [one if one.name == phase else replace(one, weights={}) for one in stage.phases]
    mine = {"discriminator": {"D_s"}, "generator": {"G_s"}, "encoders": {"E_c", "E_s"}}
    before = {name: dict(part.named_parameters()) for name, part in parts(system).items()}
    before = {name: {key: p.detach().clone() for key, p in found.items()} for name, found in before.items()}
    run([replace(stage, phases=held)], tmp_path)
    after = {name: dict(part.named_parameters()) for name, part in parts(system).items()}
    changed = {n for n, found in before.items() if any(not torch.equal(after[n][k], p) for k, p in found.items())}
    assert changed == mine[phase]


# ---- terms by hand ----


def source_case(training=TRAINING, cross=False):
    system = make()
    p = parts(system)
    for part in p.values():
        part.requires_grad_(True)
    losses = SourceLosses(p["E_c"], p["E_s"], p["G_s"], p["D_s"], training, prior_std=1.5, cross=cross)
    generator = torch.Generator().manual_seed(1)
    images = {name: torch.rand(4, 3, 16, 16, generator=generator) * 2 - 1 for name in ("images", "source", "target")}
    return p, losses, Batch(images, Draws(0), 0, 0.0)


def bce(logits, label):
    return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, label))


@pytest.mark.parametrize("cross", [False, True])
def test_source_terms_by_hand(cross):
    p, losses, batch = source_case(cross=cross)
    real, again = batch.images["images"], Draws(0)
    found = losses.discriminator_terms(batch)["adversarial"]
    generated = losses.generator_terms(batch)
    content, appearance = p["E_c"](real), p["E_s"](real)
    c = content.mean + again.normal(4, 6) * torch.exp(content.log_variance / 2)
    a = appearance.mean + again.normal(4, 4) * torch.exp(appearance.log_variance / 2)
    fakes = [p["G_s"](torch.cat([c, a], 1)), p["G_s"](1.5 * again.normal(4, 10))]
    if cross:
        cy, ax = p["E_c"](batch.images["target"]), p["E_s"](batch.images["source"])
        cy = cy.mean + again.normal(4, 6) * torch.exp(cy.log_variance / 2)
        ax = ax.mean + again.normal(4, 4) * torch.exp(ax.log_variance / 2)
        fakes.append(p["G_s"](torch.cat([cy, ax], 1)))
    share = 1 / len(fakes)
    expected = bce(p["D_s"](real), 1.0) + share * sum(bce(p["D_s"](fake), 0.0) for fake in fakes)
    torch.testing.assert_close(found, expected)
    redrawn = fakes[0]
    difference = (p["E_c"](redrawn).mean - c).abs().mean() + (p["E_s"](redrawn).mean - a).abs().mean()
    torch.testing.assert_close(generated["IR"].mean(), (redrawn - real).abs().mean())
    torch.testing.assert_close(generated["LR"].mean(), difference)
    torch.testing.assert_close(generated["adversarial"], share * sum(bce(p["D_s"](fake), 1.0) for fake in fakes))


def test_encoder_terms_by_hand():
    p, losses, batch = source_case()
    real, again = batch.images["images"], Draws(0)
    terms = losses.encoder_terms(batch)
    assert set(terms) == {"IR", "KL", "LR", "PS"}  # no adversarial term
    content, appearance = p["E_c"](real), p["E_s"](real)
    c = content.mean + again.normal(4, 6) * torch.exp(content.log_variance / 2)
    a = appearance.mean + again.normal(4, 4) * torch.exp(appearance.log_variance / 2)
    torch.testing.assert_close(terms["IR"].mean(), (p["G_s"](torch.cat([c, a], 1)) - real).abs().mean())
    released = sum(
        -0.5 * torch.sum(1 + one.log_variance - one.mean**2 - one.log_variance.exp()) for one in (content, appearance)
    )
    torch.testing.assert_close(terms["KL"].mean(), released / 4)
    gap = (p["E_c"](batch.images["source"]).mean - p["E_c"](batch.images["target"]).mean).abs().mean()
    torch.testing.assert_close(terms["PS"].mean(), gap)


@pytest.mark.parametrize("size", [32, 64])
def test_the_divergence_weighs_the_same_whatever_the_batch(size):
    """At 64 the released weight of a sum, 1e-5, and ours of a mean agree; at 32 the released one would be half."""
    values = torch.randn(1, 5, generator=torch.Generator().manual_seed(0)).expand(size, -1)
    total = (-0.5 * (1 + values - values**2 - values.exp())).sum()
    ours = LaDoTraining().kl_weight * total / size
    assert math.isclose(float(ours), 1e-5 * float(total) * 64 / size, rel_tol=1e-5)


def test_code_targets_are_not_detached():
    p, losses, batch = source_case()
    losses.encoder_terms(batch)["LR"].mean().backward()
    whole = p["E_s"].to_log_variance.weight.grad.clone()
    assert whole.abs().sum() > 0  # it reaches the redrawn image only through the sampled code


def test_pair_gap_cannot_be_lowered_by_shrinking_codes_if_normalised():
    p, losses, batch = source_case(replace(TRAINING, pair_norm=True))
    before = losses.encoder_terms(batch)["PS"].mean()
    with torch.no_grad():
        p["E_c"].to_mean.weight.mul_(0.1), p["E_c"].to_mean.bias.mul_(0.1)
    torch.testing.assert_close(losses.encoder_terms(batch)["PS"].mean(), before)


def target_case(noise=False):
    system = make(adapted=True)
    p = parts(system)
    perception = load_perception("disc", p["D_s"], device=torch.device("cpu"))
    losses = TargetLosses(p["E_c"], p["E_t"], p["G_t"], p["D_t"], perception, prior_std=1.5, noise=noise)
    generator = torch.Generator().manual_seed(1)
    images = {name: torch.rand(4, 3, 16, 16, generator=generator) * 2 - 1 for name in ("source", "target")}
    return p, losses, perception, Batch(images, Draws(0), 0, 0.0)


@pytest.mark.parametrize("noise", [False, True])
def test_target_terms_by_hand(noise):
    p, losses, perception, batch = target_case(noise)
    x, y, again = batch.images["source"], batch.images["target"], Draws(0)
    found, generated = losses.discriminator_terms(batch)["adversarial"], losses.generator_terms(batch)
    cx, cy, a = p["E_c"](x), p["E_c"](y), p["E_t"](y)
    cx = cx.mean + again.normal(4, 6) * torch.exp(cx.log_variance / 2)
    cy = cy.mean + again.normal(4, 6) * torch.exp(cy.log_variance / 2)
    a = a.mean + again.normal(4, 4) * torch.exp(a.log_variance / 2)
    fakes = [p["G_t"](torch.cat([cx, a], 1)), p["G_t"](torch.cat([cy, a], 1))]
    if noise:
        fakes.append(p["G_t"](1.5 * again.normal(4, 10)))
    share = 1 / len(fakes)
    torch.testing.assert_close(found, bce(p["D_t"](y), 1.0) + share * sum(bce(p["D_t"](fake), 0.0) for fake in fakes))
    torch.testing.assert_close(generated["adversarial"], share * sum(bce(p["D_t"](fake), 1.0) for fake in fakes))
    torch.testing.assert_close(generated["PG"], perception(fakes[0], y))
    torch.testing.assert_close(generated["IR"], perception(fakes[1], y))


def test_perception_by_hand():
    p, _, perception, batch = target_case()
    x, y = batch.images["source"], batch.images["target"]
    ours, theirs = p["D_s"].maps(x), p["D_s"].maps(y)
    assert [one.shape[-1] for one in ours] == [8, 4, 4, 4]
    weights = (1 / 32, 1 / 16, 1 / 8, 1 / 4)
    expected = sum(w * (u - v).abs().mean(dim=(1, 2, 3)) for w, u, v in zip(weights, ours, theirs, strict=True))
    torch.testing.assert_close(perception(x, y), expected)
    inputs, target = x.clone().requires_grad_(True), y.clone().requires_grad_(True)
    perception(inputs, target).sum().backward()
    assert inputs.grad.abs().sum() > 0 and target.grad is None


def test_vgg_is_never_downloaded(monkeypatch, tmp_path):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    judge = parts(make())["D_s"]
    with pytest.raises(WeightsNotFoundError, match="vgg19-dcbb9e9d.pth"):
        load_perception("vgg", judge, device=torch.device("cpu"))
    assert load_perception("auto", judge, device=torch.device("cpu")).name == "pixels"


# ---- generating ----


@pytest.fixture(scope="module")
def adapted(pairs, sources, tmp_path_factory):
    base = make(prior_std=1.3)
    settings = {"training": TRAINING, "seed": 0}
    run(base.stages(base.read_data(sources), settings["training"]), tmp_path_factory.mktemp("source"))
    run(base.finetune_stages(base.read_shots(pairs), FINETUNING), tmp_path_factory.mktemp("target"))
    return base.eval()


def test_one_seed_gives_partners_in_both_domains(adapted):
    source, target, both = (adapted.generate(3, domain=d).tensor for d in ("source", "target", "both"))
    assert torch.equal(both, torch.cat([source, target], dim=3))
    assert torch.equal(adapted.generate(3).tensor, target)  # the default
    assert adapted.generate(3, domain="both").grid(3).size == (3 * 34 + 2, 20)


def test_an_image_is_the_same_alone_and_in_a_batch(adapted):
    for domain in ("source", "target"):
        together = adapted.generate(16, domain=domain).tensor
        assert torch.allclose(together[5], adapted.generate(seeds=5, domain=domain).tensor[0], atol=1e-5)


def test_recalibrated_statistics_are_those_of_the_prior(adapted):
    """In evaluation mode the images are nearly those normalised over a large batch of noise."""
    adapted.settle()
    latents = 1.3 * torch.randn(512, 10, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        settled = adapted.draw(latents, "target")
        with batch_statistics(adapted.generator):
            by_batch = adapted.draw(latents, "target")
    assert (settled - by_batch).abs().mean() < 0.15 * by_batch.std()


def test_the_checkpoint_keeps_prior_std_and_both_domains(adapted, tmp_path):
    adapted.save_pretrained(tmp_path)
    again = load(tmp_path)
    assert again.config == adapted.config and again.config.prior_std == 1.3 and again.config.adapted
    assert torch.equal(again.generate(4, domain="both").tensor, adapted.generate(4, domain="both").tensor)
    torch.testing.assert_close(again.generate(4).latents.std(), torch.tensor(1.3), atol=0.3, rtol=0)


def test_mixing_content_and_appearance(adapted, pairs):
    nets = adapted.generator
    pixels = load_pairs(pairs, resolution=16)
    x, y = (pixels.rows[name][:2] / 127.5 - 1 for name in ("source", "target"))
    with torch.no_grad():
        content, appearance = nets.content(x).mean, nets.appearance.target(y).mean
    by_both = adapted.generate(content=pairs[0][:2], appearance=pairs[1][:2])
    torch.testing.assert_close(by_both.latents, torch.cat([content, appearance], dim=1), atol=1e-5, rtol=1e-4)
    noise = adapted.generate(2).latents
    torch.testing.assert_close(adapted.generate(2, content=pairs[0][:2]).latents[:, 6:], noise[:, 6:])
    torch.testing.assert_close(adapted.generate(2, appearance=pairs[1][0]).latents[:, :6], noise[:, :6])
    one_shot = adapted.generate(2, appearance=pairs[1][0]).latents[:, 6:]
    torch.testing.assert_close(one_shot, appearance[:1].expand(2, -1), atol=1e-5, rtol=1e-4)
    assert len(adapted.generate(content=pairs[0][:3])) == 3
    with pytest.raises(ConfigError, match="do not go together"):
        adapted.generate(2, content=pairs[0][:3])


@pytest.mark.parametrize(
    ("options", "message"),
    [({"n": 1, "domain": "other"}, "both, source, target"), ({"n": 1, "latents": torch.zeros(1, 10)}, "not both"),
     ({"latents": torch.zeros(1, 3)}, r"\(N, 10\)"), ({"style": 1}, "no style")],
)  # fmt: skip
def test_unusable_options_say_what_is_expected(adapted, options, message):
    with pytest.raises(ConfigError, match=message):
        adapted.generate(**options)


def test_a_source_model_has_no_target_yet():
    for domain in ("target", "both"):
        with pytest.raises(ConfigError, match="finetune"):
            make().generate(domain=domain)


# ---- the verbs ----


def test_finetune_leaves_the_base_alone_and_writes_a_run(pairs, tmp_path):
    base = create_model("lado_32", resolution=16, content_dim=6, appearance_dim=4, width=4)
    before = snapshot(base)
    result = finetune(base, pairs=pairs, output_dir=tmp_path / "run", k=5, steps=2, align_steps=1, **FP32)
    assert not base.config.adapted and not moved(base, before)
    assert result.model.details["finetuning"]["images"] == 5 and result.model.details["perceptual"] == "pixels"
    assert torch.equal(load(tmp_path / "run").generate(2).tensor, result.model.generate(2).tensor)


def test_source_images_are_used_if_they_are_given(pairs, sources):
    system = make()
    shots = {"source": pairs[0], "target": pairs[1], "images": sources}
    stage = next(system.finetune_stages(system.read_shots(shots), FINETUNING))
    known = {(torch.as_tensor(image) * 1).numpy().tobytes() for image in faces(40, resolution=16, seed=9)}
    drawn = ((next(stage.batches)["images"] + 1) * 127.5).round().byte()
    assert {one.numpy().tobytes() for one in drawn} <= known
    replayed = next(make().finetune_stages(system.read_shots(pairs), FINETUNING))
    drawn = ((next(replayed.batches)["images"] + 1) * 127.5).round().byte()
    assert not {one.numpy().tobytes() for one in drawn} & known


@pytest.mark.parametrize("k", [1, 2, 33, 65])
def test_any_number_of_shots_goes_through_every_stage(k, tmp_path):
    system = make()
    shots = tuple(to_pil(faces(k, resolution=16, style=style, seed=1)) for style in ("flat", "line"))
    training = LaDoFineTuning(steps=3 if k < 64 else 1, align_steps=1, batch_size=32, perceptual="disc")
    assert run(system.finetune_stages(system.read_shots(shots), training), tmp_path).nonfinite == 0
    assert torch.isfinite(system.generate(2).tensor).all()


def test_partners_can_be_searched(pairs, tmp_path, caplog):
    system = make()
    shots = system.read_shots(pairs[1][:1])
    with pytest.raises(ConfigError, match="partners='invert'"):
        system.finetune_stages(shots, FINETUNING)
    caplog.set_level("WARNING", "lowshotgan")
    stages = system.finetune_stages(shots, replace(FINETUNING, partners="invert", align_steps=0))
    stage = next(stages)
    assert "no source partners" in caplog.text
    assert {"source", "target"} == set(next(stage.batches))


def test_missing_partners_are_refused_before_anything_is_written(pairs, tmp_path):
    with pytest.raises(ConfigError, match="partners='invert'"):
        finetune(make(), pairs[1], output_dir=tmp_path / "run", **FP32)
    assert not (tmp_path / "run").exists()


def test_a_stopped_fine_tuning_resumes_bit_for_bit(pairs, tmp_path):
    whole, stopped = make(), make()
    run(whole.finetune_stages(whole.read_shots(pairs), FINETUNING), tmp_path / "whole")
    halted = stopped.finetune_stages(stopped.read_shots(pairs), FINETUNING)
    assert run(halted, tmp_path / "half", budget=1e-6).stopped == "budget"
    resumed = make()
    assert run(resumed.finetune_stages(resumed.read_shots(pairs), FINETUNING), tmp_path / "half").stopped == "finished"
    whole.settle(), resumed.settle()
    assert not moved(resumed, snapshot(whole))


def test_training_with_pairs_and_the_released_settings(pairs, sources, tmp_path):
    data = {"images": sources, "pairs": pairs}
    result = train(make(), data, output_dir=tmp_path, preset="parity", steps=2, batch_size=8, **FP32)
    assert result.model.details["training"]["images"] == 40
    assert create_model("lado_64", preset="parity", width=4).config.prior_std == pytest.approx(math.exp(0.5))
    preset = LaDoFineTuning(**LaDoFineTuning.PRESETS["parity"])
    assert (preset.steps, preset.align_steps, preset.bn, preset.lr) == (None, 0, "running", 1e-4)
    with pytest.raises(ConfigError, match="preset"):
        create_model("lado_64", preset="original")


def test_schedules_of_the_release(pairs, sources):
    system = make()
    (stage,) = system.stages(system.read_data(sources), LaDoTraining(batch_size=16))
    assert stage.steps == 100 * 3
    assert stage.groups["generator"].rate(1.0) == pytest.approx(0.99 ** (300 * 16 / 40))
    stages = system.finetune_stages(system.read_shots(pairs), LaDoFineTuning(**LaDoFineTuning.PRESETS["parity"]))
    stage = next(stages)
    assert (stage.name, stage.steps, stage.groups["generator"].rate(1.0)) == ("target", 100, 1.0)
    assert len(next(stage.batches)["target"]) == 10


def test_cross_adversarial_needs_pairs(sources):
    with pytest.raises(ConfigError, match="needs pairs"):
        make().stages(make().read_data(sources), replace(TRAINING, cross_adversarial=True))


def test_alignment_brings_partners_nearer_and_the_target_nearer_to_the_shots(pairs, tmp_path):
    system = make()
    shots = system.read_shots(pairs)
    x, y = (shots.rows[name] / 127.5 - 1 for name in ("source", "target"))

    def gap():
        with torch.no_grad():
            a, b = system.generator.content(x).mean, system.generator.content(y).mean
        return float((a - b).abs().mean() / torch.cat([a, b]).std(dim=0).mean())

    def distance():
        with torch.no_grad(), batch_statistics(system.generator):
            codes = [system.generator.content(x).mean, system.generator.appearance.target(y).mean]
            return float((system.draw(torch.cat(codes, dim=1), "target") - y).abs().mean())

    schedule = {"steps": 60, "align_steps": 30, "lr": 3e-3, "batch_size": 10}
    weights = {"pair_weight": 1.0, "pair_norm": True, "cross_weight": 30.0, "straight_weight": 30.0}
    training = replace(FINETUNING, **schedule, **weights)
    stages = system.finetune_stages(shots, training)
    before = gap()
    align = next(stages)
    run([align], tmp_path / "align")
    system.generator.content.eval()
    assert gap() < 0.8 * before
    target, start = next(stages), distance()
    run([target], tmp_path / "target")
    assert distance() < 0.9 * start


@pytest.mark.parametrize(
    "build",
    [lambda: LaDoConfig(resolution=24), lambda: LaDoConfig(width=0), lambda: LaDoConfig(prior_std=0.0),
     lambda: LaDoTraining(batch_size=1), lambda: LaDoTraining(steps=0), lambda: LaDoTraining(kl_weight=-1),
     lambda: LaDoTraining(bn="none"), lambda: LaDoFineTuning(perceptual="eyes"),
     lambda: LaDoFineTuning(partners="guess"), lambda: LaDoFineTuning(cross_weight=-1.0)],
)  # fmt: skip
def test_unusable_settings_are_refused(build):
    with pytest.raises(ConfigError):
        build()
