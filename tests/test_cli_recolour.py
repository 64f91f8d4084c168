"""The commands for colours and categories, with tiny models on disk."""

import json

import pytest
import torch
from PIL import Image

from lowshotgan.api import create_model
from lowshotgan.cli import run
from lowshotgan.data.images import to_pil
from lowshotgan.data.shapes import painted_heads


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A folder with two pictures and two models."""
    folder = tmp_path_factory.mktemp("world")
    torch.manual_seed(0)
    sizes = {"resolution": 16, "discriminator_width": 4}
    create_model("kggan_recolour_64", transform_width=4, mask_width=4, **sizes).save_pretrained(folder / "hair")
    table = {name: {"kind": name[0], "size": name[1]} for name in ("ax", "ay", "bx", "by")}
    zero_shot = create_model("kggan_32", knowledge=table, unseen=["by"], width=8, z_dim=4, embedding_width=4, **sizes)
    zero_shot.save_pretrained(folder / "shapes")
    (folder / "photos").mkdir()
    for index, image in enumerate(to_pil(painted_heads(2, resolution=16).images)):
        image.save(folder / "photos" / f"{index}.png")
    return folder


def test_recolor_writes_images_masks_and_a_sheet(world, tmp_path, capsys):
    arguments = ["recolor", str(world / "hair"), str(world / "photos"), "--color", "#aa3377", "--mask", "--json"]
    places = {"output": str(tmp_path / "pink"), "sheet": str(tmp_path / "new" / "sheet.png")}
    assert run([*arguments, "--output", places["output"], "--sheet", places["sheet"]]) == 0
    told = json.loads(capsys.readouterr().out)
    assert {key: told[key] for key in places} == places and told["colors"] == ["#aa3377"]
    names = sorted(path.name for path in (tmp_path / "pink").iterdir())
    assert names == ["image000000.png", "image000001.png", "mask000000.png", "mask000001.png"]
    with Image.open(tmp_path / "new" / "sheet.png") as sheet:
        assert sheet.size == (2 * 18 + 2, 2 * 18 + 2)


def test_a_category_is_not_left_out_of_a_sheet(world, tmp_path, capsys):
    arguments = ["recolor", str(world / "hair"), str(world / "photos"), "--category", "blond"]
    assert run([*arguments, "--sheet", str(tmp_path / "sheet.png")]) == 2
    assert "--category needs --output" in capsys.readouterr().err and not list(tmp_path.iterdir())


def test_a_colour_may_be_three_numbers(world, tmp_path):
    for name, color in (("hex", "#aa3377"), ("numbers", "170,51,119")):
        arguments = ["recolor", str(world / "hair"), str(world / "photos"), "--color", color]
        assert run([*arguments, "--output", str(tmp_path / name)]) == 0
    first, second = ((tmp_path / name / "image000000.png").read_bytes() for name in ("hex", "numbers"))
    assert first == second


def test_a_category_is_a_name_attributes_or_numbers(world, tmp_path, capsys):
    (tmp_path / "more.csv").write_text("name,size,kind\nother,y,b\n")
    ways = {"name": ["by"], "attributes": ["kind=b,size=y"], "numbers": ["0,1,0,1"]}
    ways["table"] = ["other", "--knowledge", str(tmp_path / "more.csv")]
    for name, options in ways.items():
        grid = str(tmp_path / f"{name}.png")
        assert run(["generate", str(world / "shapes"), "--seeds", "0-3", "--grid", grid, "--category", *options]) == 0
    drawn = [Image.open(tmp_path / f"{name}.png").convert("RGB").tobytes() for name in ways]
    apart = [max(abs(a - b) for a, b in zip(one, drawn[0], strict=True)) for one in drawn]
    assert max(apart) <= 1
    capsys.readouterr()
    for options, message in ((["kind="], "look like"), (["0,1"], "length 2"), (["kind=c,size=y"], "kind must be")):
        assert (
            run(["generate", str(world / "shapes"), "--grid", str(tmp_path / "no.png"), "--category", *options]) == 1
        )
        assert message in capsys.readouterr().err
    arguments = ["generate", str(world / "hair"), "--grid", str(tmp_path / "no.png"), "--knowledge"]
    assert run([*arguments, str(tmp_path / "more.csv")]) == 1
    assert "no categories from knowledge" in capsys.readouterr().err


@pytest.mark.parametrize(("model", "folder"), [("shapes", "new"), ("hair", "black")])
def test_both_models_are_fine_tuned_from_folders(world, tmp_path, model, folder):
    (tmp_path / "shots" / folder).mkdir(parents=True)
    for path in (world / "photos").iterdir():
        (tmp_path / "shots" / folder / path.name).write_bytes(path.read_bytes())
    arguments = ["finetune", str(tmp_path / "shots"), "--model", str(world / model), "--output", str(tmp_path / "run")]
    assert run([*arguments, "--steps", "1", "--batch-size", "2", "--precision", "fp32", "--quiet"]) == 0
    about = json.loads((tmp_path / "run" / "model" / "config.json").read_text())
    assert about["details"]["finetuning"]["images"] == 2
    assert ("new" in about["config"].get("seen", ())) == (model == "shapes")


def test_a_walk_passes_categories(world, tmp_path):
    walk = tmp_path / "walk.gif"
    arguments = ["interpolate", str(world / "shapes"), "--category", "ax", "--category", "kind=b,size=y", "--no-loop"]
    assert run([*arguments, "--frames", "3", "--output", str(walk)]) == 0
    with Image.open(walk) as frames:
        assert frames.n_frames == 3
    assert run(["interpolate", str(world / "shapes"), "--category", "ax", "--seeds", "1", "--output", str(walk)]) == 1


def test_training_without_a_table_tells_of_recipes(tmp_path, world, capsys):
    assert run(["train", "kggan_32", "--data", str(world / "photos"), "--output", str(tmp_path / "r")]) == 1
    assert "--recipe FILE" in capsys.readouterr().err


def test_generate_draws_a_category(world, tmp_path, capsys):
    grid = tmp_path / "unseen.png"
    assert run(["generate", str(world / "shapes"), "--category", "by", "--seeds", "0-3", "--grid", str(grid)]) == 0
    assert grid.is_file()
    assert run(["generate", str(world / "shapes"), "--category", "bz", "--grid", str(tmp_path / "no.png")]) == 1
    assert "category must be one of ax, ay, bx, by" in capsys.readouterr().err
    assert not (tmp_path / "no.png").exists()


@pytest.mark.parametrize(
    ("options", "status", "message"),
    [([], 2, "say where to"), (["--output", "o"], 2, "one --color or one --category"),
     (["--output", "o", "--color", "#fff", "--color", "#000"], 2, "one --color"),
     (["--sheet", "s.png", "--mask"], 2, "--mask needs"), (["--output", "o", "--color", "pinkish"], 1, "#3b7dd8"),
     (["--output", "o", "--category", "green"], 1, "category must be"), (["--sheet", "s.foo"], 1, "ends in .png")],
)  # fmt: skip
def test_unusable_options_are_explained_and_write_nothing(
    world, tmp_path, monkeypatch, capsys, options, status, message
):
    monkeypatch.chdir(tmp_path)
    assert run(["recolor", str(world / "hair"), str(world / "photos"), *options]) == status
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_model_of_another_kind_names_those_that_recolour(world, tmp_path, capsys):
    arguments = ["recolor", str(world / "shapes"), str(world / "photos"), "--color", "#fff"]
    assert run([*arguments, "--output", str(tmp_path / "o")]) == 1
    assert "kggan_recolour" in capsys.readouterr().err


def test_a_dry_run_writes_nothing(world, tmp_path, capsys):
    arguments = ["recolor", str(world / "hair"), str(world / "photos"), "--color", "#fff", "--dry-run"]
    assert run([*arguments, "--output", str(tmp_path / "o")]) == 0
    assert "#fff" in capsys.readouterr().out and not (tmp_path / "o").exists()
