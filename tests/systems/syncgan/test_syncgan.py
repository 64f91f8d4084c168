"""SyncGAN: networks, terms and what they reach, data, joint generation, transfer, training and fine-tuning."""

import copy
import itertools

import numpy as np
import pytest
import torch
from resuming import same_tensors, whole_and_cut

from lowshotgan.api import create_model, finetune, load
from lowshotgan.data.audio import Sound
from lowshotgan.data.images import to_pil
from lowshotgan.draws import Draws
from lowshotgan.errors import ConfigError, ImageInputError
from lowshotgan.losses.synchrony import all_pairs_synchrony
from lowshotgan.systems.syncgan.config import SyncGANConfig, SyncGANTraining
from lowshotgan.systems.syncgan.data import PairBatches, read_sync_data
from lowshotgan.systems.syncgan.modalities import ImageModality, SpectrogramModality, VectorModality
from lowshotgan.systems.syncgan.networks import (
    Concat,
    TwoTower,
    branch,
    branches_for,
    make_discriminator,
    make_generator,
)
from lowshotgan.systems.syncgan.specs import parse_modality
from lowshotgan.systems.syncgan.stages import encoder_terms
from lowshotgan.train.loop import LoopSettings, fit
from lowshotgan.train.machine import Machine
from lowshotgan.train.source import train_source
from lowshotgan.types import Batch

MODALITIES = {"image": ImageModality(16, 1), "audio": "logmel:1x16x16@8000/400/400/512/60-3900"}
CENTRES = torch.tensor([[0.7, 0.7], [0.7, -0.7], [-0.7, 0.7], [-0.7, -0.7]])


def tiny(**options):
    torch.manual_seed(0)
    sizes = {"width": 4, "synchronizer_width": 4, "concept_dim": 6, "private_dim": 2}
    model = create_model("syncgan_32", **{"resolution": 16, "modalities": MODALITIES, **sizes, **options})
    model.statistics_samples = 100
    return model


def vectors(**options):
    return tiny(modalities={"a": VectorModality(2), "b": VectorModality(2)}, **options)


def clusters(n=80, seed=0):
    """Points of four classes in two modalities; class c of one is class 3 - c of the other by position."""
    random = torch.Generator().manual_seed(seed)
    labels = {name: torch.arange(n) % 4 for name in "ab"}
    noise = {name: 0.1 * torch.randn(n, 2, generator=random) for name in "ab"}
    points = {"a": CENTRES[labels["a"]] + noise["a"], "b": CENTRES[3 - labels["b"]] + noise["b"]}
    return {name: values.clamp(-1, 1) for name, values in points.items()} | {"labels": labels}


def setting(model, **options):
    """Losses of the second stage, that stage, and one batch."""
    training = SyncGANTraining(steps=1, batch_size=6, synchronizer_steps=1, **options)
    *_, stage = model.stages(model.read_data(clusters()), training)
    return stage.phases[0].terms.__self__, stage, Batch(next(stage.batches), Draws(0), 0, 0.0)


def count(module):
    return sum(p.numel() for p in module.parameters())


# ---- networks ----


def test_official_networks_have_the_released_sizes():
    config = SyncGANConfig(resolution=28, modalities=("a=image:1x28x28", "b=image:1x28x28"), preset="official")
    up = 65 * 6272 + 256 + (128 * 64 * 25 + 64) + 128 + (64 * 32 * 25 + 32) + 64 + 289
    generator = make_generator((1, 28, 28), 64, config)
    assert count(generator) == up and generator(torch.zeros(2, 64)).shape == (2, 1, 28, 28)
    down = (25 * 8 + 8) + 16 + (8 * 16 * 9 + 16) + (784 * 128 + 128) + 129
    assert count(make_discriminator((1, 28, 28), config)) == down
    assert count(branch((1, 28, 28), 16)) == (25 * 16 + 16) + 32 + (16 * 32 * 9 + 32) + 1568 * 256 + 256
    concat = Concat(branches_for({"a": (1, 28, 28), "b": (1, 28, 28)}, 16))
    assert count(concat.heads) == 512 * 256 + 256 + 257
    widths = [1024, 512, 256, 128, 64]
    for side, channels in ((32, 1), (64, 3)):
        start = side // 16
        expected = 65 * 1024 * start**2 + 2 * 64 + (64 * channels * 9 + channels)
        expected += sum(2 * a + a * b * 25 + b for a, b in itertools.pairwise(widths))
        generator = make_generator((channels, side, side), 64, config)
        assert count(generator) == expected and generator(torch.zeros(2, 64)).shape == (2, channels, side, side)
        judge = make_discriminator((channels, side, side), config)
        sizes = [(channels, 32), (32, 64), (64, 128), (128, 256)]
        assert count(judge) == sum(a * b * 25 + b for a, b in sizes) + 2 * (32 + 64 + 128) + 257


def test_the_concept_is_shared_and_the_rest_private():
    generator = tiny().generator.eval()
    codes = torch.randn(2, 10, generator=torch.Generator().manual_seed(0))
    start = generator(codes)
    other = codes.clone()
    other[:, 8:] += 1.0  # the private part of the second modality
    changed = generator(other)
    assert torch.equal(changed["image"], start["image"]) and not torch.equal(changed["audio"], start["audio"])
    other = codes.clone()
    other[:, 0] += 1.0
    assert all(not torch.equal(generator(other)[name], start[name]) for name in start)
    single = tiny(private_dim=0).generator
    assert torch.equal(single.code(codes[:, :6], "image"), single.code(codes[:, :6], "audio"))


@pytest.mark.parametrize("kind", [TwoTower, Concat])
def test_all_combinations_are_the_pairs_one_by_one(kind):
    torch.manual_seed(0)
    judge = kind(branches_for({"a": (1, 16, 16), "b": (2, 1, 1), "c": (3, 1, 1)}, 4)).eval()
    a, b = torch.randn(3, 1, 16, 16), torch.randn(4, 2, 1, 1)
    table = judge.combinations(a, b, ("a", "b"))
    for i in range(3):
        for j in range(4):
            torch.testing.assert_close(table[i, j], judge(a[i : i + 1], b[j : j + 1], ("a", "b"))[0])
    torch.testing.assert_close(judge.combinations(b, a, ("b", "a")).T, table)


def test_the_two_towers_are_a_scaled_product():
    judge = TwoTower(branches_for({"a": (2, 1, 1), "b": (2, 1, 1)}, 4)).eval()
    x = torch.randn(3, 2, 1, 1)
    u, v = judge.towers["a"](x), judge.towers["b"](x)
    expected = torch.exp(torch.tensor(2.3)) * torch.cosine_similarity(u, v, dim=1) - 5
    torch.testing.assert_close(judge(x, x, ("a", "b")), expected)


# ---- terms and what they reach ----


@pytest.mark.parametrize("phase", ["discriminator", "synchronizer", "generator"])
def test_a_phase_changes_its_own_networks(tmp_path, phase):
    model = vectors()
    losses, stage, _ = setting(model, sync_sees_fakes=True)
    parts = {"discriminator": model.discriminator.discriminators, "synchronizer": model.discriminator.synchronizer}
    parts["generator"] = losses.generator
    before = {name: copy.deepcopy(part) for name, part in parts.items()}
    stage.phases = [each for each in stage.phases if each.name == phase]
    fit([stage], output_dir=tmp_path, machine=Machine("cpu"), settings=LoopSettings(precision="fp32"))
    for name, part in parts.items():
        pairs = zip(before[name].parameters(), part.parameters(), strict=True)
        assert any(not torch.equal(a, b) for a, b in pairs) == (name == phase)


def test_the_generator_is_judged_synchronous_by_one_code_and_not_by_two():
    losses, _, batch = setting(vectors())
    losses.generator.eval(), losses.judges.eval()
    found = losses.generator_terms(Batch(batch.images, Draws(3), 0, 0.0))
    assert not losses.judges.synchronizer.training
    fakes = losses.generator(Draws(3).normal(6, losses.generator.z_dim))
    judge = losses.judges.synchronizer
    rows = [judge(fakes["a"], fakes["b"].roll(i, 0), ("a", "b")) for i in range(6)]
    torch.testing.assert_close(found["synchrony"], torch.nn.functional.softplus(-rows[0]))
    apart = torch.stack([torch.nn.functional.softplus(row) for row in rows[1:]]).mean(0)
    torch.testing.assert_close(found["asynchrony"], apart)
    torch.testing.assert_close(found["adversarial_a"], -losses.judges.discriminators["a"](fakes["a"])[:, 0])


def test_the_synchronizer_learns_from_real_pairs():
    losses, _, batch = setting(vectors())
    losses.judges.synchronizer.train()
    found = losses.synchronizer_terms(batch)
    assert set(found) == {"synchrony"}
    a, b = batch.images["pair/a"], batch.images["pair/b"]
    expected = all_pairs_synchrony(losses.judges.synchronizer.combinations(a, b, ("a", "b")), batch.images["group"])
    torch.testing.assert_close(found["synchrony"], expected)


def test_equal_concepts_are_no_asynchronous_pair():
    losses, _, batch = setting(vectors(synchronizer="concat"))
    images = dict(batch.images) | {"group": torch.zeros(6, dtype=torch.long)}
    judge = losses.judges.synchronizer
    found = losses.synchronizer_terms(Batch(images, Draws(0), 0, 0.0))["synchrony"]
    logits = judge(images["pair/a"], images["pair/b"], ("a", "b"))
    torch.testing.assert_close(found, torch.nn.functional.softplus(-logits) / 2)


def test_async_pairs_weigh_less_with_few_concepts():
    _, stage, _ = setting(vectors())
    assert stage.phases[2].weights["asynchrony"] == 0.25
    _, stage, _ = setting(vectors(), async_weight=0.7, sync_weight=2.0)
    assert stage.phases[2].weights["asynchrony"] == pytest.approx(1.4)


# ---- data ----


def test_pairs_that_share_an_item_are_one_concept():
    modalities = {"a": VectorModality(2), "b": VectorModality(2)}
    data = {"a": torch.zeros(4, 2), "b": torch.zeros(5, 2), "pairs": [(0, 0), (1, 0), (2, 3), (0, 4)]}
    groups = read_sync_data(data, modalities).groups
    assert groups["a"][0] == groups["a"][1] == groups["b"][0] == groups["b"][4] != groups["a"][2]
    assert groups["a"][2] == groups["b"][3] and groups["a"][3] == -1 and groups["b"][1] == -1
    few = read_sync_data(data, modalities, k=2, seed=1)
    assert len(few.common) == 2


def test_batches_pair_equal_labels_and_continue():
    data = read_sync_data(clusters(), {"a": VectorModality(2), "b": VectorModality(2)})
    train, held_out = data.split()
    assert len(train) == len(held_out) == 4 and len(train[0]["a"]) == 18 and len(held_out[0]["b"]) == 2
    assert len(data.split(per_group=5)[0][0]["a"]) == 5
    batches = PairBatches(data, train, 64, seed=1)
    first, second = next(batches), next(batches)
    classes = torch.cdist(first["pair/a"].flatten(1), CENTRES).argmin(1)
    assert torch.equal(classes, first["group"])
    assert torch.equal(torch.cdist(first["pair/b"].flatten(1), CENTRES).argmin(1), 3 - first["group"])
    again = PairBatches(data, train, 64, seed=1)
    again.load_state_dict({"position": 1})
    assert all(torch.equal(part, second[name]) for name, part in next(again).items())


@pytest.mark.parametrize(
    ("change", "message"),
    [({"pairs": [(0, 99), (1, 1)]}, "item 99 of b"), ({"pairs": [(0, 0)]}, "two different concepts"),
     ({"pairs": [(0, 0, 0), (1, 1)]}, "one position for each"), ({"a": None}, "missing"), ({"c": [1]}, "unknown"),
     ({"labels": {"a": [0]}}, "labels must be"), ({"labels": {"a": [0], "b": [0] * 80}}, "1 labels for 80"),
     ({"a": torch.zeros(3, 5)}, r"\(N, 2\)"), ({"a": torch.full((80, 2), 2.0)}, r"\[-1, 1\]"),
     ({"b": torch.zeros(3, 2), "pairs": "aligned"}, "equally many"),
     ({"pairs": [("x", 1)]}, r"one of the pairs is \('x', 1\)"), ({"pairs": [(0.5, 1)]}, "whole numbers"),
     ({"pairs": [0, 1]}, "one of the pairs is 0"), ({"pairs": 5}, "pairs must be a list"),
     ({"labels": {"a": 5, "b": [0] * 80}}, "labels of a must be a list")],
)  # fmt: skip
def test_unusable_data_is_explained(change, message):
    data = clusters()
    if "pairs" in change:
        del data["labels"]
    data = {name: value for name, value in {**data, **change}.items() if value is not None}
    with pytest.raises((ConfigError, ImageInputError), match=message):
        vectors().read_data(data)
    with pytest.raises(ConfigError, match="'labels' or 'pairs'"):
        vectors().read_data({"a": 1, "b": 2})
    with pytest.raises(ConfigError, match="k=5 counts pairs.*per_group"):
        vectors().read_data(clusters(), k=5)
    with pytest.raises(ConfigError, match="holds options of that modality"):
        vectors().read_data(clusters(), a=5)
    other = {"a": VectorModality(2), "c": VectorModality(2)}
    with pytest.raises(ConfigError, match="the model has the modalities .*'b'.* but these items are .*'c'"):
        vectors().read_data(read_sync_data({"a": torch.eye(2), "c": torch.eye(2), "pairs": "aligned"}, other))


def test_labels_of_their_own(tmp_path):
    """Folders name what recordings say; a label file says what idx images show; options reach one modality alone."""
    for name in ("0/a.wav", "1/a.wav", "1/b.wav"):
        Sound(torch.randn(9000, generator=torch.Generator().manual_seed(0)) / 9, 8000).save(tmp_path / "spoken" / name)
    for part, values in (("images-idx3", torch.zeros(4, 16, 16)), ("labels-idx1", torch.tensor([1, 0, 0, 1]))):
        sizes = b"".join(size.to_bytes(4, "big") for size in values.shape)
        head = bytes((0, 0, 8, values.ndim)) + sizes
        (tmp_path / f"train-{part}-ubyte").write_bytes(head + values.byte().numpy().tobytes())
    paths = {"image": tmp_path, "audio": tmp_path / "spoken"}
    data = tiny().read_data(paths, audio={"exclude": ["1/b.wav"]}, image={"split": "train"})
    assert data.groups["image"].tolist() == [1, 0, 0, 1] and data.groups["audio"].tolist() == [0, 1]
    assert torch.equal(tiny().read_data(paths, labels="own").groups["audio"], torch.tensor([0, 1, 1]))
    aligned = tiny().read_data(paths | {"image": tmp_path}, pairs=[(0, 0), (1, 2)])
    assert aligned.groups["image"].tolist() == [0, 1, -1, -1] and not aligned.by_label
    with pytest.raises(ImageInputError, match="no item of b has a label"):
        vectors().read_data({**clusters(), "labels": {"a": [0] * 80, "b": [None] * 80}})


# ---- modalities ----


@pytest.mark.parametrize(
    "modality",
    [ImageModality(28, 1), VectorModality(7), SpectrogramModality.spoken(), SpectrogramModality.spoken(fine=True)],
)
def test_a_modality_is_one_line_of_text(modality):
    assert parse_modality(modality.spec) == modality
    assert parse_modality("logmel:1x32x32@8000/400/200/512/60-3900") == SpectrogramModality.spoken()


@pytest.mark.parametrize(
    "spec",
    [
        "image:1x32x28",
        "sound",
        "logmel:1x32x16@8000/400/200/512/60-3900",
        "vector:0",
        "logmel:1x32x32@8000/400/200/512/6.0.0-3900",
    ],
)
def test_other_lines_are_refused(spec):
    with pytest.raises(ConfigError):
        parse_modality(spec)


def test_modalities_read_what_users_have(tmp_path):
    audio, noise = SpectrogramModality.spoken(), torch.randn(9000, generator=torch.Generator().manual_seed(0)) / 9
    Sound(noise, 8000).save(tmp_path / "a.wav")
    from_file = audio.read(tmp_path)
    assert from_file.shape == (1, 1, 32, 32)
    torch.testing.assert_close(audio.read([(noise, 8000)]), from_file, atol=0.02, rtol=0)
    with pytest.raises(ImageInputError, match=r"recording 1: .*silent"):
        audio.read([(noise, 8000), Sound(torch.zeros(9000), 8000)])
    grey = ImageModality(16, 1).read(torch.tensor([0, 90, 180]).byte()[None, :, None, None].expand(1, 3, 16, 16))
    torch.testing.assert_close(grey, torch.full((1, 1, 16, 16), 90 / 127.5 - 1))
    assert ImageModality(16, 1).decode(grey)[0].size == (16, 16)


# ---- use ----


def test_a_seed_gives_the_same_pair_whatever_is_asked_for(tmp_path):
    model = tiny()
    both = model.generate(3)
    alone = model.generate(seeds=[2], modality="audio")
    assert torch.allclose(alone.values["audio"][0], both.values["audio"][2], atol=1e-5)
    assert set(alone.values) == {"audio"} and len(both.images) == 3 and both.audio[0].rate == 8000
    names = sorted(path.name for path in both.save(tmp_path / "out"))
    assert names == [f"seed00000{i}_{end}" for i in range(3) for end in ("audio.wav", "image.png")]
    with pytest.raises(ConfigError, match="no sound"):
        _ = model.generate(1, modality="image").audio
    for options in ({"modality": "smell"}, {"modality": 3}, {"latents": torch.zeros(1, 3)}, {"colour": 1}):
        with pytest.raises(ConfigError):
            model.generate(**options)
    model.save_pretrained(tmp_path / "model")
    again = load(tmp_path / "model")
    assert torch.equal(again.generate(3).values["audio"], both.values["audio"]) and again.config == model.config


def test_a_grid_puts_modalities_side_by_side():
    made = tiny().generate(4)
    sheet = np.asarray(made.grid(2))
    assert sheet.shape == (2 * 18 + 2, 4 * 18 + 2, 3)
    image, sound = (made.decoded("image")[1], to_pil(made.values["audio"][1:2].flip(2).expand(-1, 3, -1, -1))[0])
    assert np.array_equal(sheet[2:18, 38:54], np.asarray(image)) and np.array_equal(
        sheet[2:18, 56:72], np.asarray(sound)
    )
    assert vectors().generate(3).grid().size == (2 * 4 + 2, 2 * 10 + 2)


def test_transfer_finds_the_code_and_tells_what_is_left():
    model = vectors()
    wanted = model.generate(4)
    items = wanted.values["a"].flatten(1)
    short, long = (model.transfer(items, to="b", steps=steps, restarts=2) for steps in (1, 120))
    assert long.values["b"].shape == (4, 2, 1, 1) and long.error.shape == (4,)
    assert float(long.error.mean()) < 0.2 * float(short.error.mean())
    drawn = model.generate(latents=long.latents, modality="a").values["a"]
    torch.testing.assert_close(
        (drawn - wanted.values["a"]).square().flatten(1).mean(1), long.error, atol=1e-5, rtol=1e-3
    )
    several = model.transfer(items[:1], to="b", n=3, steps=5)
    assert len(several) == 3 and torch.equal(several.latents[0, :6], several.latents[2, :6])
    assert not torch.equal(several.values["b"][0], several.values["b"][1])
    alone = model.transfer(items[:1], to="b", steps=20, restarts=1, method="optimize")
    assert len(alone) == 1
    with pytest.raises(ConfigError, match="from_="):
        model.transfer(items, to="b", from_="b")
    with pytest.raises(ConfigError, match="method"):
        model.transfer(items, to="b", method="guess")
    for options in ({"n": 1.5}, {"steps": 0}, {"steps": 1.5}, {"restarts": 1.5}, {"candidates": 2.5}, {"seed": 0.5}):
        with pytest.raises(ConfigError, match=f"{next(iter(options))} must be a whole number"):
            model.transfer(items, to="b", **options)


def test_nearest_takes_what_the_synchronizer_rates_highest():
    model = vectors()
    items = torch.tensor([[0.3, -0.2], [-0.6, 0.5]])
    made = model.transfer(items, to="b", method="nearest", candidates=50, seed=4)
    codes = torch.randn(50, model.config.z_dim, generator=torch.Generator().manual_seed(4))
    drawn = model.generate(latents=codes, modality="b").values["b"].flatten(1)
    for row, item in enumerate(items):
        ratings = model.synchrony(item.expand(50, 2), drawn)
        torch.testing.assert_close(made.values["b"][row].flatten(), drawn[int(ratings.argmax())], atol=1e-5, rtol=0)
    with pytest.raises(ConfigError, match="as many items"):
        model.synchrony(items, drawn)
    with pytest.raises(ConfigError, match="of two modalities"):
        model.synchrony(items, items, names=("a",))
    model.discriminator = None
    with pytest.raises(ConfigError, match="without its judges"):
        model.transfer(items, to="b", method="nearest")


def test_weights_of_half_the_size_are_asked_about_synchrony_too():
    model = vectors()
    items = torch.tensor([[0.3, -0.2], [-0.6, 0.5]])
    whole = model.synchrony(items, items)
    torch.testing.assert_close(model.to(torch.bfloat16).synchrony(items, items), whole, atol=0.02, rtol=0)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    model = vectors(synchronizer_width=8)
    training = SyncGANTraining(
        steps=150, batch_size=24, synchronizer_steps=60, sync_weight=2.0, lr=2e-3, ema_half_life=10
    )
    stages = model.stages(model.read_data(clusters()), training, seed=0)
    fit(
        stages,
        output_dir=tmp_path_factory.mktemp("run"),
        machine=Machine("cpu"),
        settings=LoopSettings(precision="fp32"),
    )
    return model.eval()


def test_training_teaches_the_synchronizer_and_synchronises_the_generators(trained):
    assert trained.details["synchronizer"]["held_out_auc"] > 0.95
    right, wrong = (trained.synchrony(CENTRES, CENTRES.flip(0).roll(shift, 0)) for shift in (0, 1))
    assert right.min() > wrong.max()
    made = {name: values.flatten(1) for name, values in trained.generate(200).values.items()}
    first = torch.cdist(made["a"], CENTRES).argmin(1)
    second = 3 - torch.cdist(made["b"], CENTRES).argmin(1)
    together = float((first == second).float().mean())
    independent = float((first == second.roll(1)).float().mean())
    assert together > independent + 0.3


def test_a_few_pairs_fine_tune_a_trained_model(trained, tmp_path):
    data = clusters(24, seed=5)
    shots = {"a": data["a"], "b": data["b"], "pairs": [(i, i) for i in range(6)]}
    settings = {"steps": 2, "batch_size": 4, "synchronizer_steps": 2}
    run = finetune(
        copy.deepcopy(trained),
        pairs=shots,
        output_dir=tmp_path / "r",
        precision="fp32",
        device="cpu",
        progress=False,
        **settings,
    )
    assert run.fit.stopped == "finished" and "finetuning" in run.model.details
    assert torch.allclose(load(tmp_path / "r").generate(3).values["b"], run.model.generate(3).values["b"], atol=1e-5)


def test_encoders_learn_codes_and_start_the_search(tmp_path):
    model = vectors(encoders=True)
    with pytest.raises(ConfigError, match="no trained encoders"):
        model.transfer(torch.zeros(1, 2), to="b", method="encoder")
    steps = {"steps": 2, "batch_size": 16, "synchronizer_steps": 2, "encoder_steps": 150}
    run = train_source(model, clusters(), output_dir=tmp_path, training=steps, device="cpu", progress=False)
    again = load(tmp_path)
    items = again.generate(20, modality="a").values["a"].flatten(1)
    direct = again.transfer(items, to="b", method="encoder")
    usual = run.model.details["transfer"]["encoder"]["a"]
    mean = (items - items.mean(0)).square().mean()
    assert float(direct.error.mean()) < 0.2 * float(mean) and direct.error.max() < 3 * usual
    wanted = run.model.discriminator.encoders["a"](items[:, :, None, None])
    torch.testing.assert_close(again.generator.code(direct.latents, "a"), wanted, atol=1e-5, rtol=1e-4)
    assert float(again.transfer(items, to="b").error.mean()) < float(direct.error.mean())  # hybrid
    del again.details["encoders"]
    assert again._method("auto") == "optimize"


def test_encoder_terms_are_distances_of_codes_and_items():
    model = vectors(encoders=True).eval()
    batch = Batch({"any/a": torch.rand(5, 2, 1, 1), "any/b": torch.rand(5, 2, 1, 1)}, Draws(2), 0, 0.0)
    found = encoder_terms(model.generator, model.discriminator.encoders, batch)
    draws, codes, items = Draws(2), 0, 0
    for name, encoder in model.discriminator.encoders.items():
        wanted = model.generator.code(draws.normal(5, model.config.z_dim), name)
        codes += (encoder(model.generator.decode(wanted, name)) - wanted).square().mean(1) / 2
        drawn = model.generator.decode(encoder(batch.images[f"any/{name}"]), name)
        items += (drawn - batch.images[f"any/{name}"]).square().flatten(1).mean(1) / 2
    torch.testing.assert_close(found["code"], codes)
    torch.testing.assert_close(found["reconstruction"], items)


def test_training_resumes_bit_for_bit(tmp_path):
    def build():
        model, steps = vectors(), {"steps": 3, "synchronizer_steps": 3, "warm_up_steps": 3}
        training = SyncGANTraining(batch_size=6, synchronizer_every=2, **steps)
        return model, model.stages(model.read_data(clusters()), training)

    whole, again = whole_and_cut(build, tmp_path, ("synchronizer", 2), ("warm_up", 2), ("adversarial", 2))
    for model in (whole, again):
        model.settle()
    assert same_tensors([whole.generator, whole.discriminator], [again.generator, again.discriminator])


@pytest.mark.parametrize(
    "options",
    [{"modalities": ("a=vector:2",)}, {"modalities": ("a=vector:2", "a=vector:3")}, {"concept_dim": 0},
     {"preset": "official", "modalities": ("a=image:1x16x16", "b=vector:2")}, {"synchronizer": "three"},
     {"private_dim": -1}, {"private_dim": (2,)}, {"private_dim": (2, -1)}, {"prior": "flat"}],
)  # fmt: skip
def test_unusable_configurations_are_refused(options):
    with pytest.raises(ConfigError):
        SyncGANConfig(**options)


@pytest.mark.parametrize(
    "options",
    [
        {"batch_size": 1}, {"steps": 0}, {"sync_weight": -1}, {"async_weight": -0.5}, {"synchronizer_auc": 1.5},
        {"synchronizer_steps": -1}, {"discriminator_lr": 0.0},
    ],
)  # fmt: skip
def test_unusable_training_settings_are_refused(options):
    with pytest.raises(ConfigError):
        SyncGANTraining(**options)
