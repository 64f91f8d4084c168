"""PFS-GAN as a system: loss terms by hand, what each stage may change, both domains from one seed, mixing, resuming."""

from collections import deque
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from lowshotgan.api import create_model, finetune, load
from lowshotgan.data.colours import from_lab, to_lab
from lowshotgan.data.images import to_pil
from lowshotgan.data.pairs import load_pairs
from lowshotgan.data.synthetic import faces
from lowshotgan.draws import Draws
from lowshotgan.errors import ConfigError, WeightsFormatError, WeightsHashError, WeightsNotFoundError
from lowshotgan.hub.digest import sha256_file
from lowshotgan.nets.pfsgan import CodeEncoder, PatchDiscriminator, Relation
from lowshotgan.systems import torchvision_weights
from lowshotgan.systems.pfsgan.colour_shift import ColourShift
from lowshotgan.systems.pfsgan.config import PFSGANConfig, PFSGANFineTuning, PFSGANTraining
from lowshotgan.systems.pfsgan.features import load_features, start_encoders
from lowshotgan.systems.pfsgan.stages import Latch, SourceLosses, TargetLosses
from lowshotgan.systems.pfsgan.system import PFSGAN
from lowshotgan.train.loop import LoopSettings, fit
from lowshotgan.train.machine import Machine
from lowshotgan.types import Batch

CONFIG = PFSGANConfig(resolution=16, content_dim=6, appearance_dim=6, width=4, encoder="conv", encoder_width=4)
TRAINING = PFSGANTraining(steps=2, batch_size=8, discriminator_updates=2, adversarial_from=99.0, features="random")
FINETUNING = PFSGANFineTuning(
    steps=2, batch_size=8, source_batch_size=8, discriminator_updates=2, features="random", lr=1e-3
)
FP32 = {"precision": "fp32", "device": "cpu", "progress": False}
CPU = torch.device("cpu")


def make(adapted=False, **config):
    torch.manual_seed(0)
    return PFSGAN(replace(CONFIG, adapted=adapted, **config), arch="pfsgan_32").eval()


def snapshot(module):
    return {name: value.detach().clone() for name, value in module.state_dict().items()}


def moved(module, before):
    """Whether anything changed; a network that is held must keep its buffers too."""
    now = module.state_dict()
    assert set(now) == set(before)
    return any(not torch.equal(now[name], value) for name, value in before.items())


def run(stages, folder, **settings):
    return fit(stages, output_dir=folder, machine=Machine("cpu"), settings=LoopSettings(precision="fp32", **settings))


def parts(system):
    nets = system.generator
    found = {"E_c": nets.content, "E_a": nets.appearance.source, "G_s": nets.image.source, "D_s": system.discriminator}
    if nets.image.target is not None:
        found |= {"E_t": nets.appearance.target, "G_t": nets.image.target}
    return found


def changes(networks, stage, folder):
    before = {name: snapshot(part) for name, part in networks.items()}
    run([stage], folder)
    return {name for name, part in networks.items() if moved(part, before[name])}


# ---- what each stage changes ----


def test_source_training_changes_all_source_networks(sources, tmp_path):
    system = make()
    (stage,) = system.stages(system.read_data(sources), replace(TRAINING, steps=3))
    assert changes(parts(system), stage, tmp_path) == {"E_c", "E_a", "G_s", "D_s"}


def test_the_discriminator_waits_for_the_first_good_reconstruction(sources, tmp_path):
    system = make()
    (stage,) = system.stages(system.read_data(sources), replace(TRAINING, adversarial_from=1e-6))
    assert changes(parts(system), stage, tmp_path) == {"E_c", "E_a", "G_s"}


def test_the_target_stage_holds_the_source_and_the_content_encoder(pairs, tmp_path):
    system = make()
    (stage,) = system.finetune_stages(system.read_shots(pairs), FINETUNING)
    networks = parts(system) | {"relation": stage.modules["relation"], "D_t": stage.modules["discriminator"]}
    assert changes(networks, stage, tmp_path) == {"E_t", "G_t", "relation", "D_t"}


@pytest.mark.parametrize("phase", ["discriminator", "relation", "target", "relation_joint"])
def test_each_phase_of_the_target_stage_moves_its_own_networks(phase, pairs, tmp_path):
    system = make()
    (stage,) = system.finetune_stages(system.read_shots(pairs), replace(FINETUNING, relation_joint=True))
    held = [one if one.name == phase else replace(one, weights={}) for one in stage.phases]
    mine = {"discriminator": {"D_t"}, "target": {"E_t", "G_t"}}.get(phase, {"relation"})
    networks = parts(system) | {"relation": stage.modules["relation"], "D_t": stage.modules["discriminator"]}
    before = {(name, key): p.detach().clone() for name, part in networks.items() for key, p in part.named_parameters()}
    run([replace(stage, phases=held)], tmp_path)
    after = {(name, key): p for name, part in networks.items() for key, p in part.named_parameters()}
    assert {place[0] for place, p in before.items() if not torch.equal(after[place], p)} == mine


def test_the_target_starts_where_the_settings_say(pairs):
    for choice in ("appearance", "content"):
        system = make()
        next(system.finetune_stages(system.read_shots(pairs), replace(FINETUNING, appearance_init=choice)))
        nets = system.generator
        origin = nets.content if choice == "content" else nets.appearance.source
        assert not moved(nets.appearance.target, snapshot(origin))
        assert not moved(nets.image.target, snapshot(nets.image.source))
    unequal = make(content_dim=5)
    with pytest.raises(ConfigError, match="content_dim is 5"):
        unequal.finetune_stages(unequal.read_shots(pairs), replace(FINETUNING, appearance_init="content"))


def test_optimisers_are_those_of_the_release(pairs, sources):
    system = make()
    (source,) = system.stages(system.read_data(sources), PFSGANTraining(features="random"))
    (target,) = system.finetune_stages(system.read_shots(pairs), PFSGANFineTuning(features="random"))
    (generator, betas), *others = source.groups["autoencoder"].other_betas
    assert not others and betas == (0.5, 0.999) and source.groups["autoencoder"].betas == (0.9, 0.999)
    assert {id(p) for p in generator} == {id(p) for p in system.generator.image.source.parameters()}
    assert source.groups["discriminator"].betas == (0.5, 0.9)
    assert {name: group.betas for name, group in target.groups.items()} == {
        "target": (0.5, 0.9), "relation": (0.5, 0.9), "discriminator": (0.0, 0.9)
    }  # fmt: skip
    assert [source.groups["autoencoder"].lr, target.groups["target"].lr] == [2e-5, 2e-4]
    assert [phase.name for phase in source.phases] == ["discriminator"] * 5 + ["autoencoder"]
    assert [phase.name for phase in target.phases] == ["discriminator"] * 5 + ["relation", "target"]
    assert source.steps == 100 and target.steps == 4000
    batch = next(target.batches)
    assert {name: len(part) for name, part in batch.items()} == {"images": 50, "source": 10, "target": 10}


# ---- terms by hand ----


def images_of(*names):
    generator = torch.Generator().manual_seed(1)
    return {name: torch.rand(4, 3, 16, 16, generator=generator) * 2 - 1 for name in names}


def draw_code(codes, again):
    return codes.mean + again.normal(*codes.mean.shape) * torch.exp(codes.log_variance / 2)


def kl(codes):
    return (-0.5 * (1 + codes.log_variance - codes.mean**2 - codes.log_variance.exp())).mean()


def source_case(on=True):
    p = parts(make())
    features = load_features("random", CPU)
    latch = Latch("autoencoder/IR", 0.1, CPU)
    latch.on = on
    losses = SourceLosses(p["E_c"], p["E_a"], p["G_s"], p["D_s"], features, PFSGANTraining(), latch)
    return p, losses, features, Batch(images_of("images")["images"], Draws(0), 0, 0.0)


def test_source_terms_by_hand():
    p, losses, features, batch = source_case()
    x, again = batch.images, Draws(0)
    found, terms = losses.discriminator_terms(batch)["adversarial"], losses.autoencoder_terms(batch)
    a, c = draw_code(p["E_a"](x), again), draw_code(p["E_c"](x), again)
    fakes = [p["G_s"](again.normal(4, 12)), p["G_s"](torch.cat([a, c], dim=1))]
    hinge = (1 - p["D_s"](x)).relu().mean() + sum((1 + p["D_s"](fake)).relu().mean() for fake in fakes) / 2
    torch.testing.assert_close(found.mean(), hinge)

    contents, appearances = p["E_c"](x), p["E_a"](x)
    c, a = draw_code(contents, again), draw_code(appearances, again)
    noise = again.normal(4, 6)
    redrawn, mixed = p["G_s"](torch.cat([a, c], 1)), p["G_s"](torch.cat([noise, c], 1))
    maps, wanted = features.maps(redrawn), features.maps(x)
    image = ((redrawn - x) ** 2).mean() + (redrawn - x).abs().mean()
    image = image + 0.01 * sum((maps[n] - wanted[n]).abs().mean() for n in range(3))
    torch.testing.assert_close(terms["IR"].mean(), image)
    torch.testing.assert_close(terms["PERC"].mean(), ((features.maps(mixed)[2] - wanted[2]) ** 2).mean())
    torch.testing.assert_close(terms["LAT"].mean(), ((draw_code(p["E_a"](mixed), again) - noise) ** 2).mean())
    torch.testing.assert_close(terms["KL"].mean(), kl(contents) + kl(appearances))
    fakes = [p["G_s"](again.normal(4, 12)), p["G_s"](torch.cat([a, c], 1))]
    torch.testing.assert_close(terms["adversarial"].mean(), -sum(p["D_s"](fake).mean() for fake in fakes) / 2)


def test_the_discriminator_teaches_the_generator_alone():
    p, losses, _, batch = source_case()
    losses.autoencoder_terms(batch)["adversarial"].mean().backward()
    assert p["G_s"].project.weight.grad.abs().sum() > 0
    assert all(parameter.grad is None for name in ("E_c", "E_a") for parameter in p[name].parameters())


def test_the_latch_stays_on_and_is_kept_in_checkpoints():
    _, losses, _, batch = source_case(on=False)
    assert losses.discriminator_terms(batch) == {} and "adversarial" not in losses.autoencoder_terms(batch)
    latch = Latch("autoencoder/IR", 0.1, CPU)
    states = []
    for value in (0.2, 0.1, 0.09, 0.5):
        latch(0, {"autoencoder/IR": value})
        states.append(latch.on)
    assert states == [False, False, True, True]
    other = Latch("autoencoder/IR", 0.1, CPU)
    other.load_state_dict(latch.state_dict())
    assert other.on


def target_case(**settings):
    p = parts(make(adapted=True))
    torch.manual_seed(3)
    p |= {"D_t": PatchDiscriminator(16, width=4), "relation": Relation(p["E_c"]).eval()}
    with torch.no_grad():  # everything is its own network, so that no term is right by accident
        for name in ("E_t", "G_t", "relation"):
            for parameter in p[name].parameters():
                parameter.add_(0.05 * torch.randn(parameter.shape))
    features = load_features("random", CPU)
    training = PFSGANFineTuning(**settings)
    batch = Batch(images_of("images", "source", "target"), Draws(0), 0, 0.0)
    batch.images["images"] = torch.cat([batch.images["images"]] * 2)[:6].flip(3)
    shift = ColourShift.of(batch.images["target"], strength=training.shift)
    nets = [p[name] for name in ("E_c", "E_t", "G_s", "G_t", "D_t", "relation")]
    return p, TargetLosses(*nets, features, shift, training), features, shift, batch


@pytest.mark.parametrize("released", [False, True])
def test_target_terms_by_hand(released):
    parity = {"real_image": "novel", "anchor": "drawn", "relation_joint": True} if released else {}
    p, losses, features, shift, batch = target_case(**parity)
    x, y, new, again = batch.images["source"], batch.images["target"], batch.images["images"], Draws(0)
    judged, repeated = losses.first_judge_terms(batch), losses.judge_terms(batch)
    related, terms = losses.relation_terms(batch), losses.target_terms(batch)

    moved_y = shift(y, again.integers(201, 4, 2))
    mu_k, mu_j = p["E_c"](x).mean, p["E_c"](new).mean
    c_k, c_j = draw_code(p["E_c"](x), again), draw_code(p["E_c"](new), again)
    codes = p["E_t"](moved_y)
    a, a_moved = draw_code(p["E_t"](y), again), draw_code(codes, again)
    twins = p["E_c"](p["G_s"](torch.cat([again.normal(6, 6), c_j], 1))).mean
    own, own_moved = (p["G_t"](torch.cat([one, c_k], 1)) for one in (a, a_moved))
    novel, novel_moved = (p["G_t"](torch.cat([one[[0, 1, 2, 3, 0, 1]], c_j], 1)) for one in (a, a_moved))
    real, false = p["D_t"](own), p["D_t"](novel)
    torch.testing.assert_close(judged["patches"], (1 - real.patches).relu().mean() + (1 + false.patches).relu().mean())
    whole = false if released else real
    torch.testing.assert_close(judged["image"], (1 - whole.image).relu().mean() + (1 + false.image).relu().mean())
    assert all(torch.equal(judged[name], repeated[name]) for name in judged)  # the same images

    def rel(means, images):
        return (means - p["E_c"].mean(p["relation"].stem(images))) ** 2

    anchor = novel_moved[:1] if released else moved_y[:1]
    torch.testing.assert_close(related["same"].mean(), rel(mu_k, moved_y).abs().mean())
    torch.testing.assert_close(related["other"].mean(), (rel(twins, anchor) - (mu_j - mu_k[:1]) ** 2).abs().mean())

    def difference(ours, theirs):
        maps = [features.maps(one)[1] for one in (ours, theirs)]
        return F.mse_loss(ours, theirs) + 0.1 * F.mse_loss(*maps)

    torch.testing.assert_close(terms["IR"].mean(), difference(own_moved, moved_y))
    torch.testing.assert_close(terms["PLAIN"].mean(), difference(own, y))
    torch.testing.assert_close(terms["LAT"].mean(), F.mse_loss(a_moved, draw_code(p["E_t"](own_moved), again)))
    torch.testing.assert_close(terms["KL"].mean(), kl(codes))
    torch.testing.assert_close(terms["patches"].mean(), -false.patches.mean())
    torch.testing.assert_close(terms["image"].mean(), -false.image.mean())
    other = rel(mu_k, novel_moved[:1]) - (mu_k - mu_j[:1]) ** 2
    torch.testing.assert_close(terms["REL"].mean(), rel(twins, novel_moved).mean() + other.abs().mean())
    if released:
        torch.testing.assert_close(losses.joint_terms(batch)["REL"], terms["REL"])
    assert losses._drawn == deque()  # nothing is left over for the next step


def test_relations_reach_the_target_but_not_the_content_encoder():
    p, losses, _, _, batch = target_case()
    p["E_c"].requires_grad_(False)
    losses.first_judge_terms(batch), losses.relation_terms(batch)
    losses.target_terms(batch)["REL"].mean().backward()
    assert all(p[name].get_parameter(key).grad.abs().sum() > 0 for name, key in
               (("G_t", "project.weight"), ("E_t", "to_mean.0.weight")))  # fmt: skip
    assert all(parameter.grad is None for parameter in p["E_c"].parameters())


# ---- colours ----


def test_lab_there_and_back():
    colours = torch.rand(200, 3, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(from_lab(to_lab(colours)), colours, atol=2e-4, rtol=0)
    assert from_lab(torch.tensor([50.0, 120.0, -120.0])).isfinite().all()


def test_shifted_colours_move_within_the_shots_and_grey_stays():
    shots = torch.rand(3, 3, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1
    shift = ColourShift.of(shots)
    still, up = torch.full((3, 2), 100), torch.tensor([[200, 100]] * 3)
    torch.testing.assert_close(shift(shots, still), shots, atol=1e-3, rtol=0)
    before, after = (to_lab((one.movedim(1, -1) + 1) / 2) for one in (0.2 * shots, shift(0.2 * shots, up)))
    half = 0.5 * (shift.high - shift.low)[0]
    expected = (before[..., 1] + half).clamp(shift.low[0], shift.high[0])
    inside = (from_lab(torch.stack([before[..., 0], expected, before[..., 2]], -1)) - 0.5).abs() < 0.49
    assert inside.all(-1).sum() > 20
    difference = (after[..., 1] - expected).abs()[inside.all(-1)]
    assert float(difference.max()) < 0.5
    grey = shots[:, :1].expand(-1, 3, -1, -1)
    torch.testing.assert_close(ColourShift.of(grey)(grey, up), grey, atol=2e-3, rtol=0)
    assert torch.equal(ColourShift.of(shots, strength=0.0)(shots, up), shots)


# ---- ImageNet's weights ----


@pytest.fixture
def fake_vgg(tmp_path, monkeypatch):
    """A file with VGG-16's names where torchvision's would be."""
    torch.manual_seed(7)
    encoder = CodeEncoder(32, code_dim=4)
    stored = {}
    for part, offset in (("stem", 0), ("trunk", 10)):
        for name, value in getattr(encoder, part).state_dict().items():
            number, kind = name.split(".")
            if value.ndim == 4 or (kind == "bias" and int(number) + offset < 31):
                stored[f"features.{int(number) + offset}.{kind}"] = value
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    torch.save(stored | {"classifier.0.weight": torch.zeros(1)}, folder / "vgg.pth")
    name = f"vgg16-{sha256_file(folder / 'vgg.pth')[:8]}.pth"
    (folder / "vgg.pth").rename(folder / name)
    monkeypatch.setitem(torchvision_weights.FILES, "vgg16", name)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    return encoder, folder / name


def test_imagenet_starts_the_encoders_and_compares_images(fake_vgg):
    origin, _ = fake_vgg
    torch.manual_seed(8)
    encoder = CodeEncoder(32, code_dim=4)
    heads = snapshot(encoder.to_mean)
    assert start_encoders("auto", encoder) == "imagenet"
    x = torch.rand(1, 3, 32, 32)
    assert torch.equal(encoder.stem(x), origin.stem(x))
    assert torch.equal(encoder.trunk[:21](encoder.stem(x)), origin.trunk[:21](origin.stem(x)))
    assert not moved(encoder.to_mean, heads)
    features = load_features("auto", CPU)
    assert features.name == "vgg"
    torch.testing.assert_close(features.maps(x)[1], origin.stem[:9](x))


def test_unusable_imagenet_weights_are_refused(fake_vgg, monkeypatch):
    _, path = fake_vgg
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(WeightsHashError, match="remove it"):
        load_features("vgg", CPU)
    torch.save({"features.0.weight": torch.zeros(1)}, path)
    monkeypatch.setitem(torchvision_weights.FILES, "vgg16", f"vgg16-{sha256_file(path, cached=False)[:8]}.pth")
    path.rename(path.with_name(torchvision_weights.FILES["vgg16"]))
    with pytest.raises(WeightsFormatError, match="VGG-16"):
        load_features("vgg", CPU)


def test_imagenet_weights_are_never_downloaded(monkeypatch, tmp_path, caplog):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    encoder = CodeEncoder(16, code_dim=4, kind="conv", width=4)
    before = snapshot(encoder)
    for act in (lambda: load_features("vgg", CPU), lambda: start_encoders("imagenet", encoder)):
        with pytest.raises(WeightsNotFoundError, match="vgg16-397923af.pth"):
            act()
    caplog.set_level("WARNING", "lowshotgan")
    assert start_encoders("auto", encoder) == "random" and "random weights" in caplog.text
    assert not moved(encoder, before)
    assert load_features("auto", CPU).name in ("lsg1", "random")


# ---- generating ----


@pytest.fixture(scope="module")
def adapted(pairs, sources, tmp_path_factory):
    base = make()
    run(base.stages(base.read_data(sources), TRAINING), tmp_path_factory.mktemp("source"))
    run(base.finetune_stages(base.read_shots(pairs), FINETUNING), tmp_path_factory.mktemp("target"))
    return base.eval()


def test_one_seed_gives_partners_in_both_domains(adapted):
    source, target, both = (adapted.generate(3, domain=d).tensor for d in ("source", "target", "both"))
    assert torch.equal(both, torch.cat([source, target], dim=3)) and not torch.equal(source, target)
    assert torch.equal(adapted.generate(3).tensor, target)  # the default
    together = adapted.generate(16).tensor
    assert torch.allclose(together[5], adapted.generate(seeds=5).tensor[0], atol=1e-5)


def test_saving_keeps_both_domains(adapted, tmp_path):
    adapted.save_pretrained(tmp_path)
    again = load(tmp_path)
    assert again.config == adapted.config and again.config.adapted
    assert torch.equal(again.generate(4, domain="both").tensor, adapted.generate(4, domain="both").tensor)
    assert torch.equal(again.generate(4).latents, adapted.generate(4).latents)


def test_mixing_content_and_appearance(adapted, pairs):
    nets = adapted.generator
    pixels = load_pairs(pairs, resolution=16)
    x, y = (pixels.rows[name][:2] / 127.5 - 1 for name in ("source", "target"))
    with torch.no_grad():
        content, appearance = nets.content(x).mean, nets.appearance.target(y).mean
    by_both = adapted.generate(content=pairs[0][:2], appearance=pairs[1][:2])
    torch.testing.assert_close(by_both.latents, torch.cat([appearance, content], dim=1), atol=1e-5, rtol=1e-4)
    noise = adapted.generate(2).latents
    torch.testing.assert_close(adapted.generate(2, content=pairs[0][:2]).latents[:, :6], noise[:, :6])
    one_shot = adapted.generate(2, appearance=pairs[1][0]).latents
    torch.testing.assert_close(one_shot[:, 6:], noise[:, 6:])
    torch.testing.assert_close(one_shot[:, :6], appearance[:1].expand(2, -1), atol=1e-5, rtol=1e-4)
    with pytest.raises(ConfigError, match="do not go together"):
        adapted.generate(2, content=pairs[0][:3])
    with pytest.raises(ConfigError, match="no style"):
        adapted.generate(1, style=1)


def test_a_source_model_has_no_target_yet():
    with pytest.raises(ConfigError, match="finetune"):
        make().generate(domain="both")


# ---- the verbs ----


def test_finetune_leaves_the_base_alone_and_needs_no_discriminator(pairs, tmp_path):
    base = make()
    base.discriminator = None
    before = snapshot(base)
    settings = {"k": 5, "steps": 2, "source_batch_size": 4, "features": "random"}
    result = finetune(base, pairs=pairs, output_dir=tmp_path / "run", **settings, **FP32)
    assert not base.config.adapted and not moved(base, before)
    assert result.model.details["finetuning"]["images"] == 5 and result.model.details["perceptual"] == "random"
    assert torch.equal(load(tmp_path / "run").generate(2).tensor, result.model.generate(2).tensor)


def test_source_images_are_used_if_they_are_given(pairs, sources):
    known = {one.numpy().tobytes() for one in faces(40, resolution=16, style="flat", seed=9)}

    def drawn(shots):
        system = make()
        (stage,) = system.finetune_stages(system.read_shots(shots), FINETUNING)
        images = ((next(stage.batches)["images"] + 1) * 127.5).round().byte()
        return {one.contiguous().numpy().tobytes() for one in images}

    assert drawn({"source": pairs[0], "target": pairs[1], "images": sources}) <= known
    assert not drawn(pairs) & known


@pytest.mark.parametrize("k", [1, 2, 33])
def test_any_number_of_shots_goes_through(k, tmp_path):
    system = make()
    shots = tuple(to_pil(faces(k, resolution=16, style=style, seed=1)) for style in ("flat", "line"))
    training = replace(FINETUNING, steps=1, batch_size=64)
    assert run(system.finetune_stages(system.read_shots(shots), training), tmp_path).nonfinite == 0
    assert torch.isfinite(system.generate(1).tensor).all()


@pytest.mark.parametrize("joint", [False, True])
def test_micro_batches_keep_their_own_images(joint, pairs, tmp_path):
    """Each phase meets the micro-batches in order, so the parts of a step drawn in its first phase fit them."""
    system = make()
    training = replace(FINETUNING, relation_joint=joint)
    (stage,) = system.finetune_stages(system.read_shots(pairs), training)
    stage.modules["relation"].eval()  # its spectral norms would move a little with every look
    seen = []

    def noted(phase):
        def terms(batch):
            found = phase.terms(batch)
            seen.append((phase.name, {name: float(value.detach().mean()) for name, value in found.items()}))
            return found

        return replace(phase, terms=terms)

    held = replace(stage, phases=[noted(phase) for phase in stage.phases], groups={
        name: replace(group, lr=0.0) for name, group in stage.groups.items()
    })  # fmt: skip
    run([held], tmp_path, accumulate=2)
    judged = [values for name, values in seen if name == "discriminator"][:4]
    assert judged[0] == judged[2] and judged[1] == judged[3] and judged[0] != judged[1]
    if joint:
        first, again = ([v["REL"] for name, v in seen if name == n] for n in ("target", "relation_joint"))
        assert first == pytest.approx(again, rel=1e-5)


def test_a_source_of_one_image_can_be_trained_on(sources, tmp_path):
    system = make()
    assert run(system.stages(system.read_data(sources[:1]), TRAINING), tmp_path).nonfinite == 0


def test_missing_partners_are_refused_or_searched(pairs, tmp_path, caplog):
    with pytest.raises(ConfigError, match="partners='invert'"):
        finetune(make(), pairs[1], output_dir=tmp_path / "run", **FP32)
    assert not (tmp_path / "run").exists()
    system = make()
    caplog.set_level("WARNING", "lowshotgan")
    (stage,) = system.finetune_stages(system.read_shots(pairs[1][:1]), replace(FINETUNING, partners="invert"))
    assert "no source partners" in caplog.text and {"images", "source", "target"} == set(next(stage.batches))


def test_a_stopped_fine_tuning_resumes_bit_for_bit(pairs, tmp_path):
    whole, stopped, resumed = make(), make(), make()
    run(whole.finetune_stages(whole.read_shots(pairs), FINETUNING), tmp_path / "whole")
    halted = stopped.finetune_stages(stopped.read_shots(pairs), FINETUNING)
    assert run(halted, tmp_path / "half", budget=1e-6).stopped == "budget"
    assert run(resumed.finetune_stages(resumed.read_shots(pairs), FINETUNING), tmp_path / "half").stopped == "finished"
    whole.settle(), resumed.settle()
    assert not moved(resumed, snapshot(whole))


def test_presets_and_unusable_settings(sources, pairs):
    released = PFSGANFineTuning(**PFSGANFineTuning.PRESETS["parity"])
    assert (released.steps, released.appearance_init, released.real_image) == (8000, "content", "novel")
    assert (released.anchor, released.relation_joint, released.bn) == ("drawn", True, "running")
    for options, message in (
        ({"steps": 0}, "steps"),
        ({"batch_size": 1}, "batch_size must be at least 2"),
        ({"source_batch_size": 1}, "source_batch_size must be at least 2"),
        ({"discriminator_updates": 1.5}, "whole number"),
        ({"anchor": "first"}, "drawn, shot"),
        ({"shift": -1.0}, "shift must be 0 or more"),
    ):
        with pytest.raises(ConfigError, match=message):
            PFSGANFineTuning(**options)
    with pytest.raises(ConfigError, match="encoder='conv' at 16 px"):
        create_model("pfsgan_64", resolution=16)
    with pytest.raises(ConfigError, match="power of two"):
        create_model("pfsgan_64", resolution=48)
    with pytest.raises(ConfigError, match="give the pairs to finetune"):
        make().stages(make().read_data({"images": sources, "pairs": pairs}), TRAINING)


def test_training_brings_redrawn_shots_nearer(pairs, tmp_path):
    system, seen = make(width=8), []
    training = replace(FINETUNING, steps=25, lr=1e-2, shift=0.0, discriminator_updates=1, adversarial_weight=0.1)
    stages = system.finetune_stages(system.read_shots(pairs), training)
    settings = LoopSettings(precision="fp32")
    hook = [lambda moment: seen.append(moment.values["target/PLAIN"])]
    fit(stages, output_dir=tmp_path, machine=Machine("cpu"), settings=settings, hooks=hook)
    assert seen[-1] < 0.6 * seen[0]
