"""What every system that translates by exemplars must keep."""

import shutil
from pathlib import Path

import pytest
import torch

from lowshotgan.api import create_model, list_models, load, train
from lowshotgan.cli import run
from lowshotgan.data.images import to_pil
from lowshotgan.errors import ConfigError, ImageInputError, UnsupportedVerbError, WeightsFormatError
from lowshotgan.hub.store import read_tensors, write_tensors
from lowshotgan.systems.registry import ARCHS, VERBS, system_class
from lowshotgan.train.source import read_recipe

TINY = {
    "funit": ("funit_32", {"width": 4, "code_dim": 6, "mlp_width": 8, "resolution": 20, "num_classes": 2,
                           "discriminator_width": 4, "discriminator_blocks": 4, "discriminator_cap": 8}),
    "coco_funit": ("coco_funit_32", {"width": 4, "code_dim": 6, "mlp_width": 8, "bias_dim": 5, "resolution": 20,
                                     "num_classes": 2, "discriminator_width": 4, "discriminator_stages": 2,
                                     "discriminator_cap": 8}),
    "egscit": ("egscit_64", {"resolution": 20, "width": 4, "levels": 2, "discriminator_width": 4}),
}  # fmt: skip
QUICK = {
    "funit": {"steps": 2, "batch_size": 2},
    "coco_funit": {"steps": 2, "batch_size": 2},
    "egscit": {"steps": 2, "mask_steps": 2, "batch_size": 2, "perceptual": "random"},
}
TRANSLATORS = [name for name in VERBS if "translate" in VERBS[name]]


def noise(number, seed=0, side=20):
    return torch.rand(number, 3, side, side, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def make(system):
    arch, config = TINY[system]
    torch.manual_seed(0)
    return create_model(arch, **config)


@pytest.fixture(scope="module", params=TRANSLATORS)
def model(request):
    return make(request.param)


@pytest.fixture
def folders(tmp_path):
    """Two folders of three images."""
    for seed, name in enumerate(("one", "two")):
        (tmp_path / "data" / name).mkdir(parents=True)
        for number, image in enumerate(to_pil(noise(3, seed))):
            image.save(tmp_path / "data" / name / f"{number}.png")
    return tmp_path / "data"


def test_translators_are_listed_by_their_verb():
    assert list_models(verb="translate") == [name for name, (system, _) in ARCHS.items() if system in TRANSLATORS]


def test_the_same_inputs_give_the_same_image_alone_and_in_a_batch(model):
    together = model.generate(content=noise(3), exemplars=noise(2, 1))
    assert together.tensor.shape == (3, 3, 20, 20) and together.seeds is None
    alone = model.translate(noise(3)[1], noise(2, 1)).tensor
    assert (alone[0] - together.tensor[1]).abs().max() <= 1e-5
    assert not torch.allclose(together.tensor[0], together.tensor[1])
    assert [image.size for image in together.images] == [(20, 20)] * 3


@pytest.mark.parametrize(("dtype", "share"), [("float16", 0.01), ("bfloat16", 0.08), ("float64", 1e-4)])
@pytest.mark.parametrize("system", TRANSLATORS)
def test_weights_of_any_type_draw_nearly_the_same_images(system, dtype, share):
    model = make(system)
    before = model.generate(content=noise(3), exemplars=noise(2, 1)).tensor
    model.to(getattr(torch, dtype))
    code = model.encode_exemplars(noise(2, 1))
    again = model.translate(noise(3), code).tensor
    assert 0 < (again - before).abs().max() <= share * before.std()


def test_exemplars_count_by_their_mean(model):
    content, one = noise(2), noise(1, 1)
    expected = model.translate(content, one).tensor
    assert (model.translate(content, one.expand(4, -1, -1, -1)).tensor - expected).abs().max() <= 1e-5
    several = noise(3, 2)
    swapped = model.translate(content, several.flip(0)).tensor
    assert (model.translate(content, several).tensor - swapped).abs().max() <= 1e-5
    code = model.encode_exemplars(several)
    assert torch.equal(model.translate(content, code).tensor, model.translate(content, several).tensor)


def test_saving_and_loading_keeps_every_image(model, tmp_path):
    model.save_pretrained(tmp_path / "saved")
    again = load(tmp_path / "saved")
    expected = model.translate(noise(2), noise(1, 1)).tensor
    assert torch.equal(again.translate(noise(2), noise(1, 1)).tensor, expected)
    assert (again.config, again.digest, again.fingerprint) == (model.config, model.digest, model.fingerprint)
    assert torch.equal(again.translate(noise(2), model.encode_exemplars(noise(1, 1))).tensor, expected)


def test_loading_is_strict(model, tmp_path):
    model.save_pretrained(tmp_path)
    tensors = read_tensors(tmp_path / "discriminator.safetensors")
    name = sorted(tensors)[0]
    write_tensors(tmp_path / "discriminator.safetensors", {key: t for key, t in tensors.items() if key != name})
    with pytest.raises(WeightsFormatError, match="1 missing"):
        load(tmp_path)


def test_other_verbs_and_unknown_options_are_refused(model):
    with pytest.raises(UnsupportedVerbError, match="project"):
        model.project("0.png")
    with pytest.raises(ConfigError, match="colour"):
        model.generate(noise(1), noise(1), colour="red")
    with pytest.raises(ConfigError, match="content"):
        model.generate(exemplars=noise(1))
    with pytest.raises(ImageInputError, match="multiples"):
        model.translate(noise(1, side=17), noise(1))
    for options in ({"batch_size": 0}, {"output_type": "jpg"}, {"strength": "a"}, {"strength": -1}):
        with pytest.raises(ConfigError, match=next(iter(options))):
            model.translate(noise(1), noise(1), **options)


@pytest.mark.parametrize("system", TRANSLATORS)
def test_training_changes_the_model_and_leaves_a_loadable_one(system, folders, tmp_path):
    model = make(system)
    before = model.fingerprint
    result = train(
        model, folders, output_dir=tmp_path / "run", precision="fp32", device="cpu", progress=False, **QUICK[system]
    )  # fmt: skip
    assert result.fit.stopped == "finished" and result.model.fingerprint != before
    content, exemplars = folders / "one", folders / "two"
    expected = result.model.translate(content, exemplars).tensor
    assert torch.equal(load(tmp_path / "run").translate(content, exemplars).tensor, expected)
    with pytest.raises(ConfigError, match="learning_speed"):
        train(make(system), folders, output_dir=tmp_path / "other", learning_speed=1, progress=False)
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize("name", ["funit_64.classes", "coco_funit_64.classes", "egscit_64.domains"])
def test_recipes_hold_settings_of_their_systems(name):
    recipe = read_recipe(Path(__file__).parents[2] / "recipes" / f"{name}.toml")
    system = system_class(ARCHS[recipe.arch][0])
    assert name.startswith(recipe.arch) and system.Training(**recipe.train).steps >= 10_000
    system.Config(**ARCHS[recipe.arch][1])


def test_a_recipe_may_start_from_weights(tmp_path):
    system = make("funit")
    system.save_pretrained(tmp_path / "model")
    recipe = tmp_path / "recipe.toml"
    start = f'[model]\narch = "{system.arch}"\nweights = "local-dir:{tmp_path / "model"}"\n'
    recipe.write_text(start)
    assert read_recipe(recipe).build().fingerprint == system.fingerprint
    assert read_recipe(recipe).build().discriminator is not None
    recipe.write_text(start + "width = 8\n")
    with pytest.raises(ConfigError, match="leave out width"):
        read_recipe(recipe).build()
    recipe.write_text(start.replace(f'"{system.arch}"', '"funit_128"'))
    with pytest.raises(ConfigError, match="arch is 'funit_128'"):
        read_recipe(recipe).build()


# ---- the command ----


def test_the_command_draws_grids_folders_and_codes(model, folders, tmp_path, capsys):
    model.save_pretrained(tmp_path / "model")
    one, two, saved = str(folders / "one"), str(folders / "two"), str(tmp_path / "model")
    arguments = ["--content", one, "--exemplars", one, "--exemplars", two, "--grid", str(tmp_path / "a" / "grid.png")]
    assert run(["translate", saved, *arguments, "--output", str(tmp_path / "out"), "--json"]) == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir())[-1] == "two-000002.png"
    assert (tmp_path / "a" / "grid.png").is_file() and '"exemplars"' in capsys.readouterr().out
    code = str(tmp_path / "two.safetensors")
    assert run(["translate", saved, "--exemplars", two, "--save-code", code]) == 0
    assert run(["translate", saved, "--content", one, "--exemplars", code, "--grid", str(tmp_path / "b.png")]) == 0
    assert (tmp_path / "b.png").is_file()
    assert run(["translate", saved, "--content", one, "--exemplars", code, "--grid", str(tmp_path / "c.foo")]) == 1
    assert "ends in .png" in capsys.readouterr().err
    dotted = [str(shutil.copytree(folders / "one", tmp_path / name)) for name in ("v1.1", "v1.2")]  # no file endings
    arguments = ["--content", one, "--exemplars", dotted[0], "--exemplars", dotted[1], "--output", str(tmp_path / "v")]
    assert run(["translate", saved, *arguments]) == 0
    assert {path.name[:4] for path in (tmp_path / "v").iterdir()} == {"v1.1", "v1.2"}


@pytest.mark.parametrize("system", [name for name in TRANSLATORS if "finetune" in VERBS[name]])
def test_the_command_keeps_a_class_in_the_model(system, folders, tmp_path, capsys):
    make(system).save_pretrained(tmp_path / "model")
    one, two, mine = str(folders / "one"), str(folders / "two"), str(tmp_path / "run")
    arguments = ["--model", str(tmp_path / "model"), "--output", mine, "--device", "cpu", "--json"]
    assert run(["finetune", two, *arguments]) == 0
    assert '"steps": 0' in capsys.readouterr().out
    assert run(["translate", mine, "--content", one, "--output", str(tmp_path / "out")]) == 0
    assert len(list((tmp_path / "out").iterdir())) == 3
    expected = load(tmp_path / "model").translate(folders / "one", folders / "two").tensor
    assert torch.equal(load(mine).translate(folders / "one").tensor, expected)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["--content", "{}"], "say where to"), (["--grid", "a.png"], "need --content"),
     (["--content", "{}", "--save-code", "a.safetensors"], "one class")],
)  # fmt: skip
def test_the_command_says_what_is_missing(arguments, message, folders, capsys):
    assert run(["translate", "nowhere", *(one.format(folders) for one in arguments)]) == 2
    assert message in capsys.readouterr().err
