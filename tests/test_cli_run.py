"""The commands of the README, for real: a tiny random model adapted to four drawn faces, then used."""

import dataclasses
import json
import shlex
import shutil

import pytest
from PIL import Image

from lowshotgan.cli import run
from lowshotgan.data.synthetic import faces
from lowshotgan.finetune.heads import PatchHead
from lowshotgan.finetune.recipes import RECIPES
from lowshotgan.metrics import extractors
from lowshotgan.train.again import run_again
from lowshotgan.train.run import RunFolder


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with ``base/`` (a model folder) and ``photos/`` (four images)."""
    from lowshotgan.api import create_model

    folder = tmp_path_factory.mktemp("cli")
    tiny = {"channel_base": 128, "channel_max": 8, "z_dim": 16, "w_dim": 16, "mapping_layers": 2}
    create_model("stylegan2_32", **tiny).save_pretrained(folder / "base")
    (folder / "photos").mkdir()
    for i, pixels in enumerate(faces(4, resolution=32, seed=0)):
        Image.fromarray(pixels.permute(1, 2, 0).numpy()).save(folder / "photos" / f"{i}.png")
    return folder


@pytest.fixture(scope="module")
def adapted(place):
    words = ["finetune", "photos", "--model", "base", "--output", "run", "--recipe", "tgan", "--precision", "fp32"]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        assert run([*words, "--steps", "2", "--batch-size", "2", "--seed", "1", "-q"]) == 0
    return place / "run"


@pytest.fixture(autouse=True)
def in_place(place, monkeypatch):
    monkeypatch.setattr("lowshotgan.train.adaptation.PROBE_SAMPLES", 8)  # measuring the distance is not what is tested
    monkeypatch.chdir(place)


def test_dry_run_prints_the_settings_and_writes_nothing(place, capsys):
    assert run(["finetune", "photos", "-m", "base", "-o", "dry", "-r", "cdc", "--set", "lr=0.5", "-n", "--json"]) == 0
    settings = json.loads(capsys.readouterr().out)
    assert settings["recipe"]["lr"] == 0.5
    assert settings["images"]["k"] == 4
    assert not (place / "dry").exists()


def test_the_run_folder(adapted, capsys):
    assert {"config.json", "report.html", "report.json", "model"} <= {path.name for path in adapted.iterdir()}
    assert run(["info", "run", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["run"]["seed"] == 1


def prepared(place, recipe="auto", **options):
    """A fine-tuning in Python that is prepared but not begun, from a folder whose name needs quoting."""
    from lowshotgan.api import load
    from lowshotgan.train.adaptation import Adaptation, AdaptOptions
    from lowshotgan.train.loop import LoopSettings
    from lowshotgan.train.machine import Machine

    folder = place / "my photos"
    if not folder.exists():
        shutil.copytree(place / "photos", folder)
    options = {"images": str(folder), "model": "base", "seed": 3, "budget": 90.0, "accumulate": 1} | options
    loop = {name: options.pop(name) for name in ("seed", "budget", "accumulate")}
    model, images = options.pop("model"), options.pop("images")
    base = load(model) if isinstance(model, str) else model
    settings = LoopSettings(precision="fp32", **loop)
    return Adaptation(base, images, AdaptOptions(recipe=recipe, **options), settings, Machine("cpu"))


SPELT_OUT = {
    "k": 3,
    "fit": "pad",
    "background": (14, 9, 44),
    "steps": 40,
    "batch_size": 3,
    "flip": False,
    "proximity": "far",
    "overrides": {
        "lr": 1e-5,
        "augment": "ada(target=0.5)",
        "head": PatchHead(divisor=8),
        "regularizers.relation.weight": 500,
        "latents": {"kind": "anchors", "std": 0.2},
        "trainable": ["full", {"kind": "w_offset", "shared": True}],
    },
}


SHARED = {"accumulate": 2, "batch_size": 8, "extractor": "lsg1"}


@pytest.mark.parametrize("options", [{}, SPELT_OUT, SHARED, {"recipe": RECIPES["wedit"], "flip": True}])
def test_the_command_of_the_report_makes_the_same_run(place, capsys, options):
    work = prepared(place, **options)
    words = shlex.split(run_again(work, RunFolder(place / "my run"))["command"])
    assert words[0] == "lowshotgan" and words[words.index("--output") + 1] == str(place / "my run")
    assert run([*words[1:], "--dry-run", "--json", "--device", "cpu"]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads(json.dumps(work.config()))


@pytest.mark.parametrize(
    ("options", "part"),
    [
        ({"images": faces(4, resolution=32, seed=0)}, "no folder, zip or file but a Tensor"),
        ({"recipe": dataclasses.replace(RECIPES["tgan"], lr=0.5)}, "recipe is none of"),
        ({"overrides": {"r1_gamma": None}}, "r1_gamma=None cannot be typed"),
        ({"extractor": "mine"}, "extractor='mine' is known to Python only"),
    ],
)
def test_what_only_python_can_run_again_has_no_command(place, options, part, monkeypatch):
    registered = dataclasses.replace(extractors.load_extractor("lsg1"), name="mine")
    monkeypatch.setattr(extractors, "_REGISTERED", [registered])
    told = run_again(prepared(place, **options), RunFolder(place / "run"))
    assert "command" not in told and part in told["no_command"]


def test_the_report_shows_its_command(adapted):
    known = json.loads((adapted / "report.json").read_text(encoding="utf-8"))["summary"]
    expected = "lowshotgan finetune photos --output run --model base --recipe tgan --seed 1 --precision fp32"
    assert known["command"] == f"{expected} --steps 2 --batch-size 2"
    page = (adapted / "report.html").read_text(encoding="utf-8")
    assert known["command"] in page and page.count("Run it again") == 1


def test_generate_grid_and_blend(adapted, place):
    assert run(["generate", "run", "--seeds", "0-3", "--blend", "0.5", "--grid", "a.png", "-o", "pngs"]) == 0
    assert len(list((place / "pngs").glob("*.png"))) == 4
    with Image.open("a.png") as grid:
        assert min(grid.size) >= 64
    assert run(["generate", "run", "--seeds", "0", "--at", "2", "--grid", "at.png"]) == 0
    assert run(["generate", "run", "--seeds", "0", "--at", "1", "--grid", "at.png"]) == 1
    assert run(["generate", "base", "--seeds", "0-3", "--grid", "base.png"]) == 0


def test_interpolate(adapted):
    assert run(["interpolate", "run", "--seeds", "0,1", "--frames", "4", "-o", "walk.gif"]) == 0
    with Image.open("walk.gif") as walk:
        assert walk.n_frames == 4


def test_project(adapted, place):
    assert run(["project", "run", "photos/0.png", "-o", "found", "--steps", "2"]) == 0
    assert run(["generate", "run", "--latents", "found/ws.safetensors", "-o", "again"]) == 0
    with Image.open("found/projection.png") as found, Image.open("again/seed000000.png") as again:
        assert found.tobytes() == again.tobytes()
    stops = ["--latents", "found/ws.safetensors", "--seeds", "3"]
    assert run(["interpolate", "run", *stops, "--frames", "3", "-o", "from.gif"]) == 0
    assert run(["generate", "run", *stops, "--grid", "both.png"]) == 1
    assert not (place / "both.png").exists()


def test_evaluate(adapted, capsys):
    assert run(["evaluate", "run", "photos", "--train", "photos", "--n", "8", "--json"]) == 0
    assert "kernel" in json.loads(capsys.readouterr().out)["scores"]


def test_train_and_its_dry_run(place, capsys):
    words = ["train", "stylegan2_32", "--data", "photos", "--steps", "1", "--batch-size", "2"]
    assert run([*words, "-o", "source", "-n", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["steps"] == 1
    assert not (place / "source").exists()


ARCH = "[model]\narch = 'stylegan2_32'\n"


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("model = 'stylegan2_32'", "model must be a section"),
        (f"train = 3\n{ARCH}", "train must be a section"),
        (f"{ARCH}[data]\nfitt = 'crop'", "no option 'fitt'"),
        (f"{ARCH}[data]\nresolution = 64", "no option 'resolution'"),
        (f"{ARCH}[train]\nflip = 'no'", "flip must be true or false"),
        (f"{ARCH}[train]\nstepps = 3", "stepps"),
        (f"{ARCH}z_dim = 1.5", "z_dim must be a whole number"),
    ],
)
def test_mistakes_in_a_recipe_file_are_one_line(place, capsys, text, part):
    (place / "bad.toml").write_text(text, encoding="utf-8")
    assert run(["train", "--recipe", "bad.toml", "--data", "photos", "-o", "o"]) == 1
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert said.startswith("error: ") and part in said
    assert not (place / "o").exists()


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["generate", "stylegan2_64.avatar_v1", "--grid", "a.png"], "stylegan2_64.avatar_v1"),
        (["generate", "photos", "--grid", "a.png"], "config.json"),
        (["finetune", "photos", "-m", "base", "-o", "o", "-r", "cdx"], "cdc"),
        (["finetune", "photos/0.png", "-m", "nowhere", "-o", "o"], "nowhere"),
        (["finetune", "photos", "-m", "base", "-o", "o", "--set", "lrate=3"], "lrate"),
        (["list", "--verb", "generat"], "generate"),
        (["train", "stylegan2_63", "--data", "photos", "-o", "o"], "stylegan2_64"),
        (["train", "stylegan2_32", "-o", "o"], "--data"),
    ],
)
def test_mistakes_are_one_line_and_write_nothing(place, capsys, words, part):
    assert run(words) == 1
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert said.startswith("error: ")
    assert part in said
    assert not (place / "o").exists()
