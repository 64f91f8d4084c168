"""FUNIT as a system: terms by hand, who learns from what, training, class codes, fitting to one class, bad input."""

import copy
import json
import shutil

import numpy as np
import pytest
import torch

from lowshotgan.api import create_model, evaluate, finetune, load, train
from lowshotgan.data.classes import load_classes
from lowshotgan.data.images import from_uint8, to_pil
from lowshotgan.draws import Draws
from lowshotgan.errors import ConfigError, DeltaError, ImageInputError, RecipeError, WeightsFormatError
from lowshotgan.losses.penalties import r1, r1_of_batch_mean
from lowshotgan.systems import class_finetuning
from lowshotgan.systems.averages import half_life
from lowshotgan.systems.class_code import ClassCode
from lowshotgan.systems.class_finetuning import ClassFineTuning
from lowshotgan.systems.class_training import ClassNets, colours_mixed
from lowshotgan.systems.funit.config import FUNITConfig, FUNITTraining
from lowshotgan.systems.funit.stages import FUNITLosses
from lowshotgan.train.loop import LoopSettings, fit
from lowshotgan.train.machine import Machine
from lowshotgan.train.phases import only_trainable
from lowshotgan.types import Batch

TINY = {
    "width": 4, "code_dim": 6, "mlp_width": 8, "resolution": 16, "num_classes": 3,
    "discriminator_width": 4, "discriminator_blocks": 4, "discriminator_cap": 8,
}  # fmt: skip
QUICK = {"batch_size": 4, "precision": "fp32", "device": "cpu", "progress": False}


def make_system(**changes):
    torch.manual_seed(0)
    return create_model("funit_32", **{**TINY, **changes})


def noise(number, seed=0, side=16):
    return torch.rand(number, 3, side, side, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def blobs(number, seed, side=16):
    """Squares of one colour on another, the pair fixed by ``seed``, anywhere."""
    generator = torch.Generator().manual_seed(seed)
    front, back = torch.rand(2, 3, 1, 1, generator=generator)
    images = back.expand(number, 3, side, side).clone()
    for image in images:
        top, left = torch.randint(1, side // 2, (2,), generator=generator).tolist()
        image[:, top : top + 6, left : left + 6] = front
    return images * 2 - 1


@pytest.fixture(scope="module")
def folders():
    """Four classes of five images."""
    return {f"class-{seed}": to_pil(blobs(5, seed)) for seed in range(4)}


def one_step(**settings):
    system = make_system()
    training = FUNITTraining(batch_size=3, **settings)
    losses = FUNITLosses(system.generator, system.discriminator, training)
    content, exemplars = noise(3, 1), noise(3, 2)
    labels = torch.tensor([0, 2, 1]), torch.tensor([1, 1, 2])
    batch = Batch(
        {"content": content, "exemplars": exemplars, "content_labels": labels[0], "exemplar_labels": labels[1]},
        Draws(0), 0, 0.0,
    )  # fmt: skip
    return system, training, losses, batch


# ---- losses ----


def test_discriminator_terms_by_hand():
    system, _, losses, batch = one_step()
    terms = losses.discriminator_terms(batch)
    content, exemplars, labels = (batch.images[key] for key in ("content", "exemplars", "exemplar_labels"))
    judge, generator = system.discriminator, system.generator
    real = judge(exemplars, labels)[0].flatten(1)
    fake = judge(generator(content, generator.class_encoder(exemplars)), labels)[0].flatten(1)
    torch.testing.assert_close(terms["adversarial"], (1 - real).relu().mean(1) + (1 + fake).relu().mean(1))
    torch.testing.assert_close(terms["right_real"], (real >= 0).float().mean(1))
    for index in range(3):
        one = exemplars[index : index + 1].clone().requires_grad_(True)
        judge(one, labels[index : index + 1])[0].mean().backward()
        torch.testing.assert_close(terms["penalty"][index], one.grad.square().sum())


def test_generator_terms_by_hand():
    system, _, losses, batch = one_step()
    terms = losses.generator_terms(batch)
    generator, judge = system.generator, system.discriminator
    content, exemplars = batch.images["content"], batch.images["exemplars"]
    own, other = batch.images["content_labels"], batch.images["exemplar_labels"]
    translated = generator(content, generator.encode(exemplars))
    rebuilt = generator(content, generator.encode(content))
    (t_logits, t_features), (r_logits, r_features) = judge(translated, other), judge(rebuilt, own)
    wanted = [judge(exemplars, other)[1].mean((2, 3)), judge(content, own)[1].mean((2, 3))]
    adversarial = -0.5 * (t_logits.flatten(1).mean(1) + r_logits.flatten(1).mean(1))
    matching = (t_features.mean((2, 3)) - wanted[0]).abs().mean(1) + (r_features.mean((2, 3)) - wanted[1]).abs().mean(
        1
    )
    torch.testing.assert_close(terms["adversarial"], adversarial, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(terms["matching"], matching, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(terms["reconstruction"], (rebuilt - content).abs().flatten(1).mean(1))


@pytest.mark.parametrize("batch", [1, 2, 4, 8])
def test_the_two_scalings_of_the_penalty_differ_by_the_squared_batch(batch):
    judge = make_system().discriminator
    images, labels = noise(batch), torch.arange(batch) % 3

    def score(x):
        return judge(x, labels)[0]

    leaf = images.clone().requires_grad_(True)
    (gradient,) = torch.autograd.grad(score(leaf).mean(), leaf)
    released = gradient.square().sum((1, 2, 3)).sum() / batch
    official = r1_of_batch_mean(score, images).mean()
    torch.testing.assert_close(official, released, rtol=1e-4, atol=0)
    torch.testing.assert_close(r1(score, images).mean() / official, torch.tensor(float(batch**2)), rtol=1e-4, atol=0)
    official.backward()
    assert judge.trunk.stem.weight.grad.abs().sum() > 0


def test_each_step_trains_its_own_network_and_no_other():
    system, training, losses, batch = one_step()
    nets = ClassNets(system.generator, copy.deepcopy(system.generator), system.discriminator)
    stage = system.source_stage(nets, iter([]), training, lambda: torch.zeros(1))
    with only_trainable(stage, "discriminator"):
        sum(term.mean() for term in losses.discriminator_terms(batch).values()).backward()
    assert all(p.grad is None for p in system.generator.parameters())
    assert any(p.grad is not None for p in system.discriminator.parameters())
    system.discriminator.zero_grad()
    with only_trainable(stage, "generator"):
        sum(term.mean() for term in losses.generator_terms(batch).values()).backward()
    assert all(p.grad is None for p in system.discriminator.parameters())
    assert all(p.grad is not None for p in system.generator.parameters())


def test_weights_of_the_penalty():
    assert FUNITTraining().penalty_strength == 0.15625 == 10 / 64
    assert FUNITTraining(penalty="official").penalty_strength == 10
    assert FUNITTraining(penalty_weight=3.0).penalty_strength == 3


# ---- training ----


def run(system, data, folder, steps=3, **settings):
    loop = {"checkpoint_steps": settings.pop("checkpoint_steps", None), "budget": settings.pop("budget", None)}
    training = FUNITTraining(steps=steps, batch_size=4, **settings)
    stages = system.stages(system.read_data(data, crop_from=18), training)
    return fit(stages, output_dir=folder, machine=Machine("cpu"), settings=LoopSettings(precision="fp32", **loop))


def test_the_average_moves_by_a_thousandth_of_the_first_step(folders, tmp_path):
    system = make_system()
    start = copy.deepcopy(system.generator)
    data = system.read_data(folders, crop_from=18)
    stage = next(iter(system.stages(data, FUNITTraining(steps=1, batch_size=4))))
    fit([stage], output_dir=tmp_path, machine=Machine("cpu"), settings=LoopSettings(precision="fp32"))
    live, averaged = stage.averages["generator"]
    for now, mean, before in zip(live.parameters(), averaged.parameters(), start.parameters(), strict=True):
        torch.testing.assert_close(mean - before, 0.001 * (now - before), rtol=1e-2, atol=1e-7)
    assert half_life(0.5) == pytest.approx(1)


def test_resuming_equals_the_uninterrupted_training(folders, tmp_path):
    whole = make_system()
    run(whole, folders, tmp_path / "whole", steps=4)
    parts = make_system()
    assert run(parts, folders, tmp_path / "parts", steps=4, budget=1e-6).stopped == "budget"
    parts = make_system()
    assert run(parts, folders, tmp_path / "parts", steps=4).steps == 4
    assert all(
        torch.equal(a, b) for a, b in zip(whole.generator.parameters(), parts.generator.parameters(), strict=True)
    )


def test_training_reconstructs_better_and_leaves_a_loadable_model(folders, tmp_path):
    system = make_system()
    images = torch.stack([from_uint8(as_tensor(image)) for image in folders["class-1"]])

    def error(model):
        return float((model.translate(images, images).tensor - images).abs().mean())

    before = error(system)
    result = train(
        system, folders, output_dir=tmp_path / "run", steps=60, sampling="classes", reconstruction_weight=20.0,
        lr=1e-3, ema_decay=0.9, warm_up=10, **QUICK,
    )  # fmt: skip
    assert error(result.model) < 0.8 * before
    again = load(tmp_path / "run")
    assert torch.equal(again.translate(images, images).tensor, result.model.translate(images, images).tensor)
    assert again.classes == sorted(folders) and again.config.num_classes == 4
    resolved = json.loads((tmp_path / "run" / "config.json").read_text())
    assert resolved["data"]["classes"] == sorted(folders)
    assert again.discriminator.head.out_channels == 4


def as_tensor(image):
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)


def test_other_classes_keep_the_trunk_and_get_new_outputs(folders):
    system = make_system()
    trunk = system.discriminator.trunk.stem.weight.clone()
    head = system.discriminator.head.weight
    assert system.read_data(folders).images.resolution == 18  # 16 * 140 / 128
    assert torch.equal(system.discriminator.trunk.stem.weight, trunk)
    assert system.discriminator.head.weight.shape[0] == 4 and head.shape[0] == 3
    kept = system.discriminator
    system.read_data(folders)
    assert system.discriminator is kept


def test_weights_without_a_discriminator_are_trained_on_with_a_new_one(folders, tmp_path, caplog):
    make_system().save_pretrained(tmp_path / "model", discriminator=False)
    system, start = load(tmp_path / "model"), make_system().generator
    assert system.discriminator is None
    with caplog.at_level("INFO", logger="lowshotgan"):
        run = train(system, folders, output_dir=tmp_path / "run", steps=1, lr=1e-6, **QUICK)
    assert "no discriminator: a new one for 4 classes" in caplog.text
    assert load(tmp_path / "run").discriminator.head.out_channels == run.model.config.num_classes == 4
    for name, value in run.model.generator.state_dict().items():
        torch.testing.assert_close(value, start.state_dict()[name], atol=1e-4, rtol=1e-3)  # it went on from there


def test_a_preview_shows_contents_and_classes(folders):
    system = make_system()
    stage = next(iter(system.stages(system.read_data(folders), FUNITTraining(steps=1, batch_size=2))))
    assert stage.preview().shape == (4 + 3 * 4, 3, 16, 16)


# ---- translating ----


@pytest.fixture(scope="module")
def model():
    return make_system().eval()


def test_contents_and_exemplars_may_be_given_in_many_ways(model, tmp_path):
    exemplars, content = noise(3, 1), noise(2, 2)
    expected = model.translate(content, exemplars).tensor
    assert expected.shape == (2, 3, 16, 16)
    mean = model.generator.encode(exemplars).mean(0, keepdim=True)
    torch.testing.assert_close(expected, model.generator(content, mean).detach(), atol=1e-5, rtol=1e-4)
    for folder, images in (("content", content), ("exemplars", exemplars)):
        (tmp_path / folder).mkdir()
        for number, image in enumerate(to_pil(images)):
            image.save(tmp_path / folder / f"{number}.png")
    by_folder = model.generate(content=tmp_path / "content", exemplars=tmp_path / "exemplars")
    by_list = model.generate(content=to_pil(content), exemplars=to_pil(exemplars))
    assert torch.equal(by_folder.tensor, by_list.tensor)
    assert (by_list.tensor - expected).abs().max() < 0.1  # eight bits
    assert by_folder.classes == ("exemplars",) and by_folder.images[0].size == (16, 16)
    assert model.translate(to_pil(content)[0], exemplars).tensor.shape == (1, 3, 16, 16)


def test_a_cached_code_gives_the_same_images(model, tmp_path):
    exemplars, content = noise(3, 1), noise(2, 2)
    code = model.encode_exemplars(exemplars, name="fig")
    direct = model.translate(content, exemplars).tensor
    assert torch.equal(model.translate(content, code).tensor, direct)
    code.save(tmp_path / "codes" / "fig.safetensors")
    again = ClassCode.load(tmp_path / "codes" / "fig.safetensors")
    assert (again.count, again.name, again.model) == (3, "fig", model.fingerprint)
    assert torch.equal(model.translate(content, again).tensor, direct)
    assert torch.equal(model.translate(content, tmp_path / "codes" / "fig.safetensors").tensor, direct)
    assert torch.equal(ClassCode.from_dict(json.loads(json.dumps(code.to_dict()))).values, code.values)
    assert (tmp_path / "codes" / "fig.safetensors").stat().st_size < 2000


def test_an_image_does_not_depend_on_its_batch(model):
    code, content = model.encode_exemplars(noise(1)), noise(5, 3)
    together = model.translate(content, code).tensor
    assert (model.translate(content, code, batch_size=1).tensor - together).abs().max() <= 1e-5
    assert (model.translate(content[3], code).tensor[0] - together[3]).abs().max() <= 1e-5


def test_several_classes_give_a_grid(model, tmp_path):
    a, b = noise(2, 5), noise(3, 6)
    made = model.translate(noise(3), {"a": a, "b": model.encode_exemplars(b)})
    assert made.tensor.shape == (6, 3, 16, 16) and made.classes == ("a", "b") and made.latents.shape == (6, 6)
    assert torch.equal(made.tensor[3:], model.translate(noise(3), b).tensor)
    assert made.grid().size == (3 * 18 + 2, 3 * 18 + 2)
    names = [path.name for path in made.save(tmp_path)]
    assert names[0] == "a-000000.png" and names[-1] == "b-000002.png" and len(list(tmp_path.iterdir())) == 6
    alike = model.translate(noise(2), {"red & blue": a, "red + blue": b}).save(tmp_path / "alike")
    assert len(set(alike)) == len(list((tmp_path / "alike").iterdir())) == 4
    codes = [model.encode_exemplars(a, name="one"), model.encode_exemplars(b, name="two")]
    assert model.translate(noise(1), codes).classes == ("one", "two")


def test_each_content_may_have_exemplars_of_its_own(model):
    content, sets = noise(2), torch.stack([noise(3, 5), noise(3, 6)])
    made = model.translate(content, sets).tensor
    torch.testing.assert_close(made[1], model.translate(content[1], sets[1]).tensor[0], atol=1e-5, rtol=1e-4)
    with pytest.raises(ConfigError, match="one set for each"):
        model.translate(noise(3), sets)


def test_many_exemplars_are_not_encoded_at_once(model, monkeypatch):
    encode, sizes = model.generator.encode, []
    monkeypatch.setattr(model.generator, "encode", lambda images: sizes.append(len(images)) or encode(images))
    model.translate(noise(10), noise(150).view(10, 15, 3, 16, 16))
    assert sizes == [64, 64, 22]


def test_codes_are_merged_and_walked_between(model):
    a, b = noise(2, 5), noise(3, 6)
    one, two = model.encode_exemplars(a, name="a"), model.encode_exemplars(b, name="b")
    whole = model.encode_exemplars(torch.cat([a, b]))
    torch.testing.assert_close((one + two).values, whole.values, atol=1e-6, rtol=1e-5)
    assert (one + two).count == 5
    torch.testing.assert_close(one.towards(two, 1.0).values, two.values)
    torch.testing.assert_close(one.towards(two, 0.25).values, 0.75 * one.values + 0.25 * two.values)
    walk = model.translate(noise(1), [one.towards(two, share / 4) for share in range(5)]).tensor
    assert torch.equal(walk[0], model.translate(noise(1), one).tensor[0])


def test_strength_goes_from_the_content_itself_to_the_class(model):
    content, code = noise(2), model.encode_exemplars(noise(2, 4))
    own = torch.cat([model.translate(one, one[None]).tensor for one in content])
    torch.testing.assert_close(model.translate(content, code, strength=0.0).tensor, own, atol=1e-5, rtol=1e-4)
    half = model.translate(content, code, strength=0.5).tensor
    assert (half - own).abs().max() > 1e-3 and (half - model.translate(content, code).tensor).abs().max() > 1e-3


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [({}, ConfigError, "needs content"),
     ({"content": 4}, ConfigError, r"not 4\): generate\(content=..., exemplars=...\)"),
     ({"content": noise(1)}, ConfigError, "needs exemplars"),
     ({"content": noise(1, side=18), "exemplars": noise(1)}, ImageInputError, "multiples of 4"),
     ({"content": noise(1) * 3, "exemplars": noise(1)}, ImageInputError, r"\[-1, 1\]"),
     ({"content": noise(1, side=4), "exemplars": noise(1)}, ImageInputError, "at least 8"),
     ({"content": noise(1), "exemplars": noise(1, side=4)}, ImageInputError, "at least 8"),
     ({"content": noise(1)[:, :2], "exemplars": noise(1)}, ImageInputError, "N, 3, H, W"),
     ({"content": noise(1), "exemplars": {}}, ConfigError, "at least one class"),
     ({"content": noise(1), "exemplars": noise(1), "truncation": 0.5}, ConfigError, "truncation"),
     ({"content": "nowhere", "exemplars": noise(1)}, ImageInputError, "does not exist"),
     ({"content": noise(1), "exemplars": noise(1), "batch_size": 0}, ConfigError, "batch_size")],
)  # fmt: skip
def test_unusable_input_is_told(model, options, error, message):
    with pytest.raises(error, match=message):
        model.generate(**options)


def test_codes_of_another_model_and_foreign_files_are_refused(model, tmp_path):
    torch.manual_seed(5)
    other = create_model("funit_32", **TINY)
    with pytest.raises(ConfigError, match="another model"):
        model.translate(noise(1), other.encode_exemplars(noise(1)))
    with pytest.raises(ConfigError, match="different models"):
        model.encode_exemplars(noise(1)) + other.encode_exemplars(noise(1))
    other.save_pretrained(tmp_path)
    with pytest.raises(WeightsFormatError, match="no class code"):
        ClassCode.load(tmp_path / "model.safetensors")


@pytest.fixture
def two_classes(tmp_path):
    """A folder of two class folders, one image each."""
    for seed, name in enumerate(("cat", "dog")):
        (tmp_path / "pets" / name).mkdir(parents=True)
        to_pil(noise(1, seed))[0].save(tmp_path / "pets" / name / "a.png")
    return tmp_path / "pets"


def test_exemplars_of_two_classes_given_as_one_are_refused(model, two_classes, tmp_path):
    with pytest.raises(ImageInputError, match=r"2 classes \(cat, dog\)"):
        model.translate(noise(1), two_classes)
    zipped = shutil.make_archive(str(tmp_path / "zipped"), "zip", two_classes.parent, "pets")
    with pytest.raises(ImageInputError, match=r"2 classes \(cat, dog\)"):
        model.translate(noise(1), zipped)
    with pytest.raises(ImageInputError, match=r"2 classes \(cat, dog\)"):
        finetune(model, two_classes, output_dir=tmp_path / "run", device="cpu", progress=False)
    assert not (tmp_path / "run").exists()
    assert len(model.translate(noise(1), two_classes / "cat")) == 1


def test_a_list_of_folders_zips_and_codes_is_one_of_classes(model, two_classes, tmp_path):
    code = model.encode_exemplars(noise(1, 8), name="fox")
    code.save(tmp_path / "wolf.safetensors")
    zipped = shutil.make_archive(str(tmp_path / "cow"), "zip", two_classes / "cat")
    content, given = (
        noise(2),
        [f"{two_classes / 'cat'}/", two_classes / "dog", code, tmp_path / "wolf.safetensors", zipped],
    )
    made = model.translate(content, given)
    assert made.classes == ("cat", "dog", "fox", "wolf", "cow")
    assert torch.equal(made.tensor[2:4], model.translate(content, two_classes / "dog").tensor)
    assert torch.equal(made.tensor[:2], made.tensor[8:])
    assert model.translate(content, [two_classes / "cat", two_classes / "cat"]).classes == ("cat", "cat-2")
    images = [two_classes / "cat" / "a.png", two_classes / "dog" / "a.png"]
    assert model.translate(content, images).classes == ("class",)
    with pytest.raises(ConfigError, match=r"not both; got .*a.png"):
        model.translate(content, [two_classes / "cat", images[1]])


@pytest.mark.parametrize(
    "options",
    [{"resolution": 18}, {"resolution": 4}, {"discriminator_blocks": 5}, {"dialect": "odd"}, {"width": 0},
     {"num_classes": True}, {"resolution": 8, "content_downs": 3, "discriminator_blocks": 2}],
)  # fmt: skip
def test_unusable_configurations_are_refused(options):
    with pytest.raises(ConfigError):
        FUNITConfig(**{"content_downs": 2, "class_downs": 3, "resolution": 32, "discriminator_blocks": 4, **options})


@pytest.mark.parametrize(
    "options",
    [
        {"steps": 0},
        {"ema_decay": 1.0},
        {"penalty": "none"},
        {"sampling": "pairs"},
        {"matching_weight": -1.0},
        {"penalty_weight": -1.0},
        {"ema_rampup": -0.1},
    ],
)
def test_unusable_training_settings_are_refused(options):
    with pytest.raises(ConfigError):
        FUNITTraining(**options)


def test_one_class_is_refused_before_anything_is_written(folders, tmp_path):
    with pytest.raises(ImageInputError, match="at least two"):
        train(make_system(), {"only": folders["class-0"]}, output_dir=tmp_path / "run", steps=1, **QUICK)
    assert not (tmp_path / "run").exists()


# ---- fitting to a class ----


def test_finetuning_without_steps_encodes_and_is_kept(model, tmp_path):
    shots, content = to_pil(blobs(4, 9)), noise(2)
    before = copy.deepcopy(model.generator.state_dict())
    result = finetune(copy.deepcopy(model), shots, output_dir=tmp_path / "run", device="cpu", progress=False)
    again = load(tmp_path / "run")
    assert again.class_code.count == 4
    assert torch.equal(again.translate(content).tensor, model.translate(content, shots).tensor)
    assert all(torch.equal(value, before[name]) for name, value in result.model.generator.state_dict().items())
    with pytest.raises(RecipeError, match="own fine-tuning"):
        finetune(model, shots, output_dir=tmp_path / "x", recipe="cdc")


def test_a_model_fitted_to_a_class_draws_it_with_weights_of_any_type(model, tmp_path):
    fitted = finetune(copy.deepcopy(model), blobs(4, 9), output_dir=tmp_path, device="cpu", progress=False).model
    before = fitted.translate(noise(2)).tensor
    assert 0 < (fitted.half().translate(noise(2)).tensor - before).abs().max() < 0.1


@pytest.mark.parametrize("trains", ["code", "class", "decoder"])
def test_a_fitting_that_is_stopped_leaves_the_class_as_it_then_is(model, tmp_path, trains):
    base, content, shots = copy.deepcopy(model), noise(2), blobs(4, 9)
    first = base.encode_exemplars(shots).values
    finetuning = ClassFineTuning(steps=9, trains=trains, lr=0.01, perceptual="random")
    stages = base.finetune_stages(base.read_shots(shots), finetuning)
    stop = LoopSettings(precision="fp32", budget=1e-6)
    assert fit(stages, output_dir=tmp_path, machine=Machine("cpu"), settings=stop).stopped == "budget"
    code = base.class_code
    assert code.model == base.fingerprint
    assert torch.allclose(code.values, first, atol=3e-3, rtol=0) == (trains == "decoder")
    assert torch.equal(base.translate(content).tensor, base.translate(content, code).tensor)
    if trains != "code":
        base.save_delta(tmp_path / "delta.safetensors")


def test_fitting_the_code_helps_the_shots_and_touches_no_other_class(model, tmp_path):
    shots, content, other = blobs(4, 9), noise(2), noise(3, 7)
    result = finetune(
        copy.deepcopy(model), to_pil(shots), output_dir=tmp_path / "run", steps=30, lr=0.05, perceptual="random",
        device="cpu", precision="fp32", progress=False,
    )  # fmt: skip
    fitted = result.model
    effect = fitted.details["class_fit"]
    assert effect["after"] < 0.97 * effect["before"] and effect["others"] == 0
    assert torch.equal(fitted.translate(content, other).tensor, model.translate(content, other).tensor)
    assert not torch.equal(fitted.translate(content).tensor, model.translate(content, to_pil(shots)).tensor)
    assert torch.equal(load(tmp_path / "run").translate(content).tensor, fitted.translate(content).tensor)


def test_fitting_the_class_encoder_is_held_by_source_images(model, folders, tmp_path, monkeypatch):
    read = []
    monkeypatch.setattr(
        class_finetuning, "load_classes", lambda data, **options: read.append(data) or load_classes(data, **options)
    )
    for name, images in folders.items():
        (tmp_path / "source" / name).mkdir(parents=True)
        for number, image in enumerate(images):
            image.save(tmp_path / "source" / name / f"{number}.png")
    shots, content = to_pil(blobs(4, 9)), noise(4)
    exemplars = folders["class-2"]

    def fitted(hold):
        return finetune(
            copy.deepcopy(model), shots, output_dir=tmp_path / f"run-{hold}", steps=12, trains="class", hold=hold, lr=0.01,
            source=str(tmp_path / "source"), perceptual="random", device="cpu", precision="fp32", progress=False,
        ).model  # fmt: skip

    loose, held = fitted(0.0), fitted(30.0)
    before = model.translate(content, exemplars).tensor
    moved = [(one.translate(content, exemplars).tensor - before).abs().mean() for one in (loose, held)]
    assert moved[1] < 0.7 * moved[0]
    for name, value in held.generator.state_dict().items():
        same = torch.equal(value, model.generator.state_dict()[name])
        assert same == (not name.startswith(("class_encoder", "mlp"))), name
    assert held.class_code.model == held.fingerprint != model.fingerprint
    assert len(read) == 2  # once in each training


MOVED = {"adain": "mlp.2", "class": ("class_encoder", "mlp"), "decoder": "decoder"}


@pytest.mark.parametrize("trains", MOVED)
def test_images_the_model_draws_itself_hold_the_other_classes(model, tmp_path, trains):
    shots, content, exemplars = to_pil(blobs(4, 9)), noise(4), blobs(2, 5)

    def fitted(hold):
        return finetune(
            copy.deepcopy(model), shots, output_dir=tmp_path / f"run-{hold}", steps=12, trains=trains, hold=hold, lr=0.005,
            perceptual="random", device="cpu", precision="fp32", progress=False,
        ).model  # fmt: skip

    loose, held = fitted(0.0), fitted(30.0)
    before = model.translate(content, exemplars).tensor
    moved = [float((one.translate(content, exemplars).tensor - before).abs().mean()) for one in (loose, held)]
    assert 0 < moved[1] < 0.8 * moved[0]
    found = [one.details["class_fit"] for one in (loose, held)]
    assert 0 < found[1]["others"] < 0.8 * found[0]["others"] and found[0]["after"] < found[0]["before"]
    start = model.generator.state_dict()
    for name, value in held.generator.state_dict().items():
        assert torch.equal(value, start[name]) == (not name.startswith(MOVED[trains])), name


def test_a_delta_is_what_moved_and_belongs_to_its_base(model, tmp_path):
    model.save_pretrained(tmp_path / "base")
    base, shots, content = load(tmp_path / "base"), to_pil(blobs(4, 9)), noise(2)
    quick = {"perceptual": "random", "device": "cpu", "precision": "fp32", "progress": False}
    fitted = finetune(base, shots, output_dir=tmp_path / "run", steps=3, trains="adain", lr=0.01, **quick).model
    fitted.save_delta(tmp_path / "delta.safetensors")
    again = load(tmp_path / "delta.safetensors")
    assert torch.equal(again.translate(content).tensor, fitted.translate(content).tensor)
    assert torch.equal(again.translate(content).tensor, load(tmp_path / "run").translate(content).tensor)
    assert not torch.equal(again.translate(content).tensor, base.translate(content, shots).tensor)
    whole = (tmp_path / "base" / "model.safetensors").stat().st_size
    assert (tmp_path / "delta.safetensors").stat().st_size < whole / 2
    assert base.class_code is None
    load(tmp_path / "run").save_delta(tmp_path / "folder")
    assert load(tmp_path / "folder").fingerprint == fitted.fingerprint
    with pytest.raises(DeltaError, match="Load exactly that base"):
        fitted.apply_delta(tmp_path / "folder")
    encoded = finetune(base, shots, output_dir=tmp_path / "encoded", **quick).model
    with pytest.raises(DeltaError, match=r"class_code.save"):
        encoded.save_delta(tmp_path / "none")


def test_unusable_settings_of_a_fitting_are_refused():
    for options in ({"steps": -1}, {"trains": "all"}, {"hold": -1.0}, {"lr": 0.0}, {"source": "fruits/"}):
        with pytest.raises(ConfigError, match=next(iter(options))):
            ClassFineTuning(**options)
    assert (ClassFineTuning(trains="decoder").rate, ClassFineTuning(trains="decoder", lr=0.1).rate) == (1e-5, 0.1)


# ---- head start, evaluation ----


@pytest.mark.parametrize("mixing", ["positive", "signed"])
def test_mixed_colours_keep_shapes_and_stay_in_range(mixing):
    images = blobs(3, 5)
    mixed = colours_mixed(images, Draws(0), mixing)
    assert float(mixed.abs().max()) <= 1 + 1e-6 and not torch.allclose(mixed, images)
    corner = images[:, :, :1, :1]
    assert torch.equal((mixed == mixed[:, :, :1, :1]).all(1), (images == corner).all(1))


def test_positive_mixtures_keep_dark_darker_than_light():
    ramp = torch.linspace(-1, 1, 16).expand(20, 3, 1, 16)  # grey, from black to white
    assert bool((colours_mixed(ramp, Draws(0), "positive").diff(dim=3) > 0).all())
    assert bool((colours_mixed(ramp, Draws(0), "signed").diff(dim=3) < 0).any())


def test_an_unknown_mixing_is_refused():
    with pytest.raises(ConfigError, match="positive"):
        FUNITTraining(head_start_mixing="any")


def test_a_head_start_learns_to_redraw_by_siblings(folders, tmp_path):
    system = make_system(num_classes=4)
    data = system.read_data(folders, crop_from=16)
    training = FUNITTraining(steps=1, batch_size=4, head_start=60, head_start_lr=5e-3, sampling="classes", flip=False)
    seen = []

    def watch(moment):
        seen.append((moment.stage.name, moment.values.get("generator/reconstruction")))

    settings = LoopSettings(precision="fp32")
    judge = copy.deepcopy(system.discriminator.state_dict())
    stages = system.stages(data, training)
    fit(stages, output_dir=tmp_path, machine=Machine("cpu"), settings=settings, hooks=[watch])
    start = [value for name, value in seen if name == "head-start"]
    assert len(start) == 60 and seen[-1][0] == "source"
    assert sum(start[-10:]) < 0.75 * sum(start[:10])
    assert any(not torch.equal(value, judge[name]) for name, value in system.discriminator.state_dict().items())


def test_evaluation_translates_into_unseen_classes_by_a_fixed_pairing(folders):
    system = make_system(num_classes=2)
    system.details["classes"] = ["class-0", "class-1"]
    pictures = {name: [*images, *images] for name, images in folders.items()}
    report = evaluate(system, pictures, shots=2, n=8, extractor="rand-vgg11-s0")
    assert report.protocol.n_fake == 8 and report.protocol.n_real == 10
    assert {"top1_all", "top1_test", "top5_all", "real_all", "score_test", "kernel", "frechet"} <= set(report.scores)
    assert report["real_all"].value > 0.9 and 0 <= report["top1_all"].value <= 1
    again = evaluate(system, pictures, shots=2, n=8, extractor="rand-vgg11-s0")
    assert again.to_dict() == report.to_dict()
    with pytest.raises(ConfigError, match="too few images of class-2, class-3"):
        evaluate(system, pictures, shots=9, n=8, extractor="rand-vgg11-s0")
    with pytest.raises(ConfigError, match="takes no train"):
        evaluate(system, pictures, train=pictures["class-0"])
    few = pictures | {"class-2": pictures["class-2"][:3]}
    with pytest.raises(ConfigError, match="too few images of class-2: .*2 or more"):
        evaluate(system, few, shots=1, n=8, extractor="rand-vgg11-s0")


def test_contents_to_evaluate_are_those_of_the_other_classes_and_kept_once(folders):
    system = make_system(num_classes=2)
    system.details["classes"] = ["class-0", "class-1"]
    prepared = load_classes(folders, resolution=18)  # as training cuts its images from
    targets, classes = system.evaluation_data(prepared)
    assert [target.name for target in targets] == ["class-2", "class-3"] and classes["class-0"].shape == (5, 3, 16, 16)
    seen = torch.cat([classes["class-0"], classes["class-1"]])
    assert all(torch.equal(target.content[target.rows], seen) for target in targets)
    assert targets[0].content is targets[1].content
    del system.details["classes"]
    for target in system.evaluation_data(prepared)[0]:
        others = torch.cat([images for name, images in classes.items() if name != target.name])
        assert torch.equal(target.content[target.rows], others)
