"""GenHo as a system: terms by hand, what each step may change, the search of latents, both domains from one seed."""

from dataclasses import replace
from typing import cast

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from lowshotgan.api import finetune, load
from lowshotgan.data.images import from_uint8, to_pil
from lowshotgan.data.synthetic import faces
from lowshotgan.draws import Draws
from lowshotgan.errors import ConfigError
from lowshotgan.nets.lado import Codes
from lowshotgan.systems.genho.config import GenHoConfig, GenHoFineTuning, GenHoTraining
from lowshotgan.systems.genho.search import assign, nearest_latents, refine_latents
from lowshotgan.systems.genho.stages import (
    EncoderLosses,
    RedrawingLosses,
    SourceLosses,
    WarmUpLosses,
    redrawing_phases,
)
from lowshotgan.systems.genho.system import GenHo
from lowshotgan.systems.genho.target import encoder_steps
from lowshotgan.systems.perception import Perception
from lowshotgan.train.loop import LoopSettings, fit
from lowshotgan.train.machine import Machine
from lowshotgan.types import Batch

CONFIG = GenHoConfig(resolution=16, z_dim=6, width_base=64, width_max=8)
TRAINING = GenHoTraining(steps=2, batch_size=8)
FINETUNING = GenHoFineTuning(
    steps=2, appearance_steps=2, encoder_steps=2, refine_steps=0, batch_size=8, bank=200, perceptual="disc"
)


def make():
    torch.manual_seed(0)
    return GenHo(CONFIG, arch="genho_64").eval()


def run(stages, folder, **settings):
    return fit(stages, output_dir=folder, machine=Machine("cpu"), settings=LoopSettings(precision="fp32", **settings))


def parts(system):
    nets, judges = system.generator, system.discriminator
    found = {"G_C": nets.content.source, "G_A": nets.image.source, "E_c": nets.encoder, "D": judges.source}
    targets = {"G_C^t": nets.content.target, "G_A^t": nets.image.target, "D_t": judges.target}
    return found | {name: part for name, part in targets.items() if part is not None}


def snapshot(module):
    return {name: value.detach().clone() for name, value in module.state_dict().items()}


def equal(module, before):
    now = module.state_dict()
    return set(now) == set(before) and all(torch.equal(now[name], value) for name, value in before.items())


def changes(system, stage, folder):
    """Networks of which a parameter or buffer is not bit for bit what it was."""
    before = {name: snapshot(part) for name, part in parts(system).items()}
    run([stage], folder)
    return {name for name, part in parts(system).items() if not equal(part, before[name])}


# ---- what each step changes ----


def test_source_training_changes_the_generator_and_its_discriminator(sources, tmp_path):
    system = make()
    (stage,) = system.stages(system.read_data(sources), TRAINING)
    assert changes(system, stage, tmp_path) == {"G_C", "G_A", "D"}
    whole, latents = (
        torch.nn.Sequential(system.generator.content.source, system.generator.image.source),
        torch.randn(2, 6),
    )
    assert torch.equal(system.draw(latents, "source"), whole(latents))


@pytest.mark.parametrize("content", ["none", "low_lr", "full"])
def test_each_step_of_the_fine_tuning_changes_its_own_networks(content, pairs, tmp_path):
    system = make()
    stages = system.finetune_stages(system.read_shots(pairs), replace(FINETUNING, train_content=content))
    expected = [("content_encoder", {"E_c"}), ("appearance", {"G_A^t"}), ("joint", {"G_A^t", "D_t"})]
    for number, (name, moving) in enumerate(expected):
        stage = next(stages)
        assert stage.name == name
        if name == "joint":
            assert equal(system.discriminator.target, snapshot(system.discriminator.source))
            moving = moving | (set() if content == "none" else {"G_C^t"})
            rates = {key: one.lr for key, one in stage.groups.items()}
            assert rates.get("content") == {"none": None, "low_lr": 2e-5, "full": 2e-4}[content]
        assert changes(system, stage, tmp_path / str(number)) == moving
    assert next(stages, None) is None
    system.settle()
    assert torch.isfinite(system.generate(2, domain="both").tensor).all()


def test_the_joint_step_can_begin_with_the_discriminator_of_the_appearance_step(pairs, tmp_path):
    system = make()
    stages = system.finetune_stages(system.read_shots(pairs), replace(FINETUNING, discriminator_init="appearance"))
    seen = []
    for number, stage in enumerate(stages):
        if stage.name == "joint":
            assert equal(system.discriminator.target, snapshot(seen[-1]))
        run([stage], tmp_path / str(number))
        seen.append(stage.modules.get("discriminator"))


# ---- terms by hand ----


def bce(logits, label):
    return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, label))


def by_pixels():
    return Perception("pixels", lambda images: [images])


def images_of(*names):
    generator = torch.Generator().manual_seed(1)
    return {name: torch.rand(4, 3, 16, 16, generator=generator) * 2 - 1 for name in names}


def test_source_terms_by_hand():
    p, again = parts(make()), Draws(0)
    generator = torch.nn.Sequential(p["G_C"], p["G_A"])
    losses = SourceLosses(generator, p["D"], z_dim=6)
    batch = Batch(images_of("x")["x"], Draws(0), 0, 0.0)
    judge, made = losses.discriminator_terms(batch), losses.generator_terms(batch)
    fake = generator(again.normal(4, 6))
    expected = 0.5 * (bce(p["D"](batch.images), 1.0) + bce(p["D"](fake), 0.0))
    torch.testing.assert_close(judge["adversarial"].mean(), expected)
    torch.testing.assert_close(made["adversarial"].mean(), bce(p["D"](generator(again.normal(4, 6))), 1.0))


def encoder_case(step):
    system = make()
    p, judge = parts(system), torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(8 * 64, 1))
    losses = EncoderLosses(p["E_c"], judge, p["G_C"], p["G_A"], by_pixels(), z_dim=6, pair_every=50)
    return p, judge, losses, Batch(images_of("images", "source", "target"), Draws(0), step, 0.0)


def test_encoder_terms_by_hand():
    p, judge, losses, batch = encoder_case(50)
    x = batch.images["images"]
    drawn, encoded = p["G_C"](Draws(0).normal(4, 6)), p["E_c"](x)
    expected = 0.5 * (bce(judge(drawn), 1.0) + bce(judge(encoded), 0.0))
    torch.testing.assert_close(losses.judge_terms(batch)["CA"].mean(), expected)
    terms = losses.encoder_terms(batch)
    torch.testing.assert_close(terms["CA"].mean(), bce(judge(encoded), 1.0))
    torch.testing.assert_close(terms["AR"].mean(), (p["G_A"](encoded) - x).abs().mean() / 32)
    gap = ((p["E_c"](batch.images["source"]) - p["E_c"](batch.images["target"])) ** 2).mean()
    torch.testing.assert_close(terms["PS"].mean(), gap)


@pytest.mark.parametrize(
    ("step", "counts"), [(0, True), (1, False), (49, False), (50, True), (75, False), (100, True)]
)
def test_partners_count_on_multiples_of_fifty_only(step, counts):
    _, _, losses, batch = encoder_case(step)
    assert ("PS" in losses.encoder_terms(batch)) is counts


def test_redrawing_terms_by_hand():
    p = parts(make())
    batch = Batch(images_of("target"), Draws(0), 0, 0.0)
    y, fake = batch.images["target"], images_of("fake")["fake"].requires_grad_(True)
    losses = RedrawingLosses(lambda _: fake, p["D"], by_pixels(), names=("FR", "FA"))
    expected = 0.5 * (bce(p["D"](y), 1.0) + bce(p["D"](fake), 0.0))
    torch.testing.assert_close(losses.discriminator_terms(batch)["FA"].mean(), expected)
    terms = losses.generator_terms(batch)
    torch.testing.assert_close(terms["FR"].mean(), (fake - y).abs().mean() / 32)
    torch.testing.assert_close(terms["FA"].mean(), bce(p["D"](fake), 1.0))
    weights = [phase.weights for phase in redrawing_phases(losses, GenHoFineTuning())]
    assert weights == [{"FA": 1.0}, {"FR": 0.5, "FA": 0.5}]


def test_images_from_noise_are_judged_and_not_compared_with_shots():
    p = parts(make())
    batch = Batch(images_of("target"), Draws(0), 0, 0.0)
    y, redrawn, new = batch.images["target"], images_of("a")["a"], images_of("a", "b")["b"]
    losses = RedrawingLosses(lambda _: torch.cat([redrawn, new]), p["D"], by_pixels(), names=("FR", "FA"))
    expected = 0.5 * (bce(p["D"](y), 1.0) + 0.5 * (bce(p["D"](redrawn), 0.0) + bce(p["D"](new), 0.0)))
    terms = losses.generator_terms(batch)
    torch.testing.assert_close(losses.discriminator_terms(batch)["FA"].mean(), expected)
    torch.testing.assert_close(terms["FR"].mean(), (redrawn - y).abs().mean() / 32)
    torch.testing.assert_close(terms["FA"].mean(), 0.5 * (bce(p["D"](redrawn), 1.0) + bce(p["D"](new), 1.0)))


@pytest.mark.parametrize(("noise", "count"), [(True, 20), (False, 10)])
def test_the_joint_step_draws_from_noise_too(pairs, tmp_path, noise, count):
    system = make()
    settings = replace(FINETUNING, batch_size=10, noise_adversarial=noise)
    stages = system.finetune_stages(system.read_shots(pairs), settings)
    for number in range(2):
        run([next(stages)], tmp_path / str(number))
    joint = next(stages)
    seen = []
    cast(nn.Module, system.discriminator.target).register_forward_pre_hook(lambda _, inputs: seen.append(len(*inputs)))
    run([joint], tmp_path / "joint")
    assert seen == [10 + count, count] * 2  # the discriminator also sees the shots


# ---- the search of latents ----


def test_the_search_is_exhaustive():
    content, encoder = make().generator.content.source, make().generator.encoder
    with torch.no_grad():
        queries = [encoder(images_of("a")["a"]), encoder(images_of("b", "c")["c"])]
        bank = torch.randn(256, 6, generator=torch.Generator().manual_seed(5))
        maps = content(bank)
    for used in (queries[:1], queries):
        distances = sum(((query[:, None] - maps[None]) ** 2).flatten(2).sum(2) for query in used)
        taken, expected = set(), [None] * 4
        for row in distances.min(dim=1).values.argsort().tolist():
            order = [index for index in distances[row].argsort().tolist() if index not in taken]
            expected[row] = order[0]
            taken.add(order[0])
        assert torch.equal(nearest_latents(used, content, z_dim=6, bank=256, seed=5), bank[expected])


def test_latents_are_unique_if_there_are_enough():
    distances = torch.tensor([[1.0, 2.0, 9.0], [0.5, 8.0, 7.0]])
    assert assign(distances, unique=False).tolist() == [0, 0]
    assert assign(distances, unique=True).tolist() == [1, 0]
    system = make()
    with torch.no_grad():
        query = system.generator.encoder(images_of("a")["a"][:1].expand(5, -1, -1, -1))
    found = nearest_latents([query], system.generator.content.source, z_dim=6, bank=50)
    assert len(torch.unique(found, dim=0)) == 5


def test_refined_latents_redraw_their_images_better():
    system = make()
    wanted = torch.randn(3, 6, generator=torch.Generator().manual_seed(2))
    wanted = wanted * wanted.square().mean(dim=1, keepdim=True).rsqrt()
    with torch.no_grad():
        images = system.draw(wanted, "source")
    start = wanted + 0.5
    distance = by_pixels()
    found = refine_latents(start, lambda z: system.draw(z, "source"), distance, images, 40)
    with torch.no_grad():
        before, after = (distance(system.draw(z, "source"), images).mean() for z in (start, found))
    assert after < 0.7 * before
    torch.testing.assert_close(found.square().mean(dim=1), torch.ones(3))  # the length of noise
    assert torch.equal(refine_latents(start, lambda z: z, distance, images, 0), start)


def test_queries_are_the_encoded_partners(pairs, tmp_path):
    """The searched latents for source queries are those a plain search gives after the encoder's stage."""
    system = make()
    shots = system.read_shots(pairs)
    stages = system.finetune_stages(shots, replace(FINETUNING, prior_query="source"), seed=3)
    for number in range(2):
        run([next(stages)], tmp_path / str(number))
    next(stages)
    nets = system.generator.eval()
    with torch.no_grad():
        query = nets.encoder(from_uint8(shots.rows["source"]))
        expected = nearest_latents([query], nets.content.source, z_dim=6, bank=200, seed=3)
    assert torch.equal(nets.codes, expected)


# ---- generating and the verbs ----


@pytest.fixture(scope="module")
def adapted(pairs, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    settings = {"steps": 2, "appearance_steps": 2, "encoder_steps": 2, "batch_size": 8, "bank": 200}
    base = make()
    before = snapshot(base)
    result = finetune(
        base, pairs=pairs, output_dir=folder, k=5, precision="fp32", device="cpu", progress=False, **settings
    )
    assert equal(base, before) and not base.config.adapted
    return result.model, folder


def test_one_seed_gives_partners_in_both_domains(adapted):
    model, _ = adapted
    source, target, both = (model.generate(3, domain=d).tensor for d in ("source", "target", "both"))
    assert torch.equal(both, torch.cat([source, target], dim=3))
    assert torch.equal(model.generate(3).tensor, target) and not torch.equal(source, target)


def test_an_image_is_the_same_alone_and_in_a_batch(adapted):
    model, _ = adapted
    for domain in ("source", "target"):
        together = model.generate(16, domain=domain).tensor
        assert torch.allclose(together[5], model.generate(seeds=5, domain=domain).tensor[0], atol=1e-5)


def test_the_run_keeps_the_latents_of_the_shots(adapted):
    model, folder = adapted
    again = load(folder)
    assert again.config.shots == 5 and again.generator.codes.shape == (5, 6)
    assert torch.equal(again.generator.codes, model.generator.codes)
    assert torch.equal(again.generate(4, domain="both").tensor, model.generate(4, domain="both").tensor)
    assert len(again.generate(latents=again.generator.codes)) == 5


def test_content_can_come_from_images(adapted, pairs):
    model, _ = adapted
    made = model.generate(content=pairs[0][:3])
    with torch.no_grad():
        maps = model.generator.encoder(from_uint8(model.read_shots(pairs).rows["source"][:3]))
    torch.testing.assert_close(made.tensor, model.generator.image.target(maps).detach(), atol=1e-5, rtol=1e-4)
    with pytest.raises(ConfigError, match="no appearance"):
        model.generate(1, appearance=pairs[1][:1])


def test_a_stopped_fine_tuning_resumes_bit_for_bit(pairs, tmp_path):
    whole, stopped, resumed = make(), make(), make()
    run(whole.finetune_stages(whole.read_shots(pairs), FINETUNING), tmp_path / "whole")
    for system in (stopped, resumed):
        stages = system.finetune_stages(system.read_shots(pairs), FINETUNING)
        if system is resumed:
            assert run(stages, tmp_path / "half").stopped == "finished"
            continue
        first = next(stages)
        assert run([first], tmp_path / "half", budget=1e-6).stopped == "budget"
    whole.settle(), resumed.settle()
    assert equal(resumed, snapshot(whole))


@pytest.mark.parametrize("k", [1, 33, 65])
def test_any_number_of_shots_goes_through_every_step(k, tmp_path):
    system = make()
    shots = tuple(to_pil(faces(k, resolution=16, style=style, seed=1)) for style in ("flat", "line"))
    training = replace(FINETUNING, steps=3, appearance_steps=3, encoder_steps=1, batch_size=64, bank=100)
    assert run(system.finetune_stages(system.read_shots(shots), training), tmp_path).nonfinite == 0
    assert torch.isfinite(system.generate(2).tensor).all()


def test_partners_must_be_given_or_searched(pairs, tmp_path):
    with pytest.raises(ConfigError, match="partners='invert'"):
        finetune(make(), pairs[1], output_dir=tmp_path / "run", progress=False)
    assert not (tmp_path / "run").exists()


def test_schedules_of_the_release(pairs, sources, tmp_path):
    system = make()
    (stage,) = system.stages(system.read_data(sources), GenHoTraining(batch_size=16))
    assert stage.steps == 300 and stage.groups["generator"].rate(1.0) == pytest.approx(0.99**100)
    released = GenHoFineTuning(**GenHoFineTuning.PRESETS["parity"])
    shots = system.read_shots({"source": pairs[0], "target": pairs[1], "images": sources})
    stage = next(system.finetune_stages(shots, replace(released, perceptual="disc", bank=50)))
    assert stage.steps == 2000 and released.prior_query == "target" and released.bn == "running"
    assert encoder_steps(shots, replace(released, batch_size=2, encoder_passes=200)) == 4000


def test_source_training_takes_no_pairs(pairs, sources):
    system = make()
    with pytest.raises(ConfigError, match="finetune"):
        system.stages(system.read_data({"images": sources, "pairs": pairs}))


def test_the_target_comes_nearer_to_the_shots(pairs, tmp_path):
    system = make()
    shots = system.read_shots(pairs)
    wanted = from_uint8(shots.rows["target"])
    schedule = {"steps": 40, "appearance_steps": 1, "encoder_steps": 1, "lr": 3e-3, "target_weight": 0.99}
    stages = system.finetune_stages(shots, replace(FINETUNING, **schedule, batch_size=10))
    for number in range(2):
        run([next(stages)], tmp_path / str(number))
    joint = next(stages)
    rows = {"codes": system.generator.codes, "target": wanted}
    redrawn = joint.phases[1].terms

    def distance():
        with torch.no_grad():
            return float(redrawn(Batch(rows, Draws(0), 0, 0.0))["FR"].mean())

    start = distance()
    run([joint], tmp_path / "joint")
    assert distance() < 0.8 * start


@pytest.mark.parametrize(
    "build",
    [lambda: GenHoConfig(resolution=24), lambda: GenHoConfig(cut=64), lambda: GenHoConfig(z_dim=0),
     lambda: GenHoTraining(batch_size=1), lambda: GenHoTraining(lr_final=0.0), lambda: GenHoFineTuning(bank=0),
     lambda: GenHoFineTuning(prior_query="noise"), lambda: GenHoFineTuning(train_content="some"),
     lambda: GenHoFineTuning(perceptual_weight=1.5), lambda: GenHoFineTuning(refine_steps=-1)],
)  # fmt: skip
def test_unusable_settings_are_refused(build):
    with pytest.raises(ConfigError):
        build()


# ---- warm-up ----


def test_the_warm_up_trains_the_generator_alone_and_anchors_what_follows(tmp_path):
    system = make()
    data = system.read_data(to_pil(faces(16, resolution=16)))
    warm_up, source = system.stages(data, replace(TRAINING, warm_up_steps=2))
    assert changes(system, warm_up, tmp_path / "a") == {"G_C", "G_A"}
    assert "encoder" in source.modules and [stage.name for stage in (warm_up, source)] == ["warm_up", "source"]
    assert changes(system, source, tmp_path / "b") == {"G_C", "G_A", "D"}
    assert [stage.name for stage in system.stages(data, TRAINING)] == ["source"]


def test_the_anchor_by_hand():
    torch.manual_seed(0)
    images = torch.rand(3, 3, 16, 16) * 2 - 1
    codes = Codes(torch.randn(3, 6), torch.randn(3, 6))
    losses = WarmUpLosses(lambda _: codes, lambda z: z.mean() * torch.ones(3, 3, 16, 16), kl_weight=0.1)
    z = codes.mean + Draws(0).normal(3, 6) * (codes.log_variance / 2).exp()
    divergence = -0.5 * (1 + codes.log_variance - codes.mean**2 - codes.log_variance.exp()).sum(1)
    expected = (images - z.mean()).abs().mean(dim=(1, 2, 3)) + 0.1 * divergence
    torch.testing.assert_close(losses.terms(Batch(images, Draws(0), 0, 0.0))["anchor"], expected)


@pytest.mark.parametrize("name", ["warm_up_steps", "anchor_weight", "kl_weight"])
def test_negative_warm_up_settings_are_refused(name):
    with pytest.raises(ConfigError, match=name):
        GenHoTraining(**{name: -1})
