"""The command line: what it accepts, what it passes on, what it prints and how it ends."""

import json
import os
import signal
import subprocess
import sys
import types
from importlib import import_module
from pathlib import Path

import pytest
from PIL import Image

import lowshotgan
from lowshotgan.cli import COMMANDS, run
from lowshotgan.cli.options import read_config
from lowshotgan.cli.output import lines, plain, table
from lowshotgan.data.animation import write_animation
from lowshotgan.errors import ConfigError, ImageInputError, LowshotganError, MissingExtraError


class Pictures:
    """Stands for a ``Generation``."""

    def __init__(self, count):
        self.images = [Image.new("RGB", (8, 8), (40 * i % 256, 0, 0)) for i in range(count)]

    def __len__(self):
        return len(self.images)

    def grid(self, columns=None):
        return Image.new("RGB", (8 * (columns or 4), 8))

    def save(self, folder):
        Path(folder).mkdir(parents=True)
        for i, image in enumerate(self.images):
            image.save(Path(folder) / f"{i}.png")

    def save_animation(self, path, *, fps):
        write_animation(self.images, path, fps=fps)


class Model:
    def __init__(self, calls):
        self.calls = calls

    def generate(self, **options):
        self.calls.append(("generate", options))
        return Pictures(len(options["seeds"]))

    def blend(self, t):
        self.calls.append(("blend", t))
        return self

    def interpolate(self, seeds, **options):
        self.calls.append(("interpolate", seeds, options))
        return Pictures(options["frames"])

    def project(self, image, **options):
        self.calls.append(("project", image, options))
        return types.SimpleNamespace(
            image=Image.new("RGB", (8, 8)), ws=import_module("torch").zeros(1, 8, 4), distance=0.25
        )


def finished():
    """Stands for a ``FinetuneResult``."""
    return types.SimpleNamespace(
        report_path=Path("out/report.html"),
        recipe=types.SimpleNamespace(name="cdc"),
        steps=5,
        stopped="finished",
        seconds=1.5,
        memorization=types.SimpleNamespace(rate=float("nan")),
    )


@pytest.fixture
def api(monkeypatch):
    """``lowshotgan.api`` replaced by functions that note how they were called."""
    fake = types.ModuleType("lowshotgan.api")
    fake.calls = []

    def note(name, result):
        def call(*args, **options):
            fake.calls.append((name, args, options))
            return result() if callable(result) else result

        setattr(fake, name, call)

    note("load", lambda: Model(fake.calls))
    note("finetune", finished)
    note("train", lambda: types.SimpleNamespace(steps=5, stopped="budget", seconds=1.5, report_path=None))
    note(
        "inspect_images",
        lambda: types.SimpleNamespace(summary=lambda: "10 images", to_dict=lambda: {"count": 10}),
    )
    note(
        "evaluate",
        lambda: types.SimpleNamespace(to_dict=lambda: {"KD-lsg1": 0.5}, table=lambda: "KD-lsg1 0.5"),
    )
    note("list_models", lambda: ["stylegan2_64"])
    note("list_weights", lambda: ["stylegan2_64.a_v1"])
    note("list_recipes", lambda: ["cdc", "tgan"])
    note("get_weights", lambda: types.SimpleNamespace(to_dict=lambda: {"licenses": {"weights": "CC-BY-4.0"}}))
    note("download", lambda: Path("weights/a.b_v1"))
    note("doctor", lambda: {"ok": True, "torch": "2.6"})
    monkeypatch.setitem(sys.modules, "lowshotgan.api", fake)
    monkeypatch.setattr(lowshotgan, "api", fake, raising=False)
    return fake


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "photos" / "a.png")
    return tmp_path


def only(api, name):
    (call,) = [call for call in api.calls if call[0] == name]
    return call


HELP = """
import sys
from lowshotgan.cli import run
assert run(sys.argv[1:]) == 0
assert not {"torch", "numpy", "PIL"} & set(sys.modules), "help imported a heavy module"
"""


def test_help_of_every_command_has_examples_and_imports_no_torch():
    for command in [[], *([name] for name in COMMANDS)]:
        done = subprocess.run(
            [sys.executable, "-c", HELP, *command, "--help"], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert "Examples:" in done.stdout
        assert "Usage: lowshotgan" in done.stdout


def test_version_and_module_entry(capsys):
    assert run(["--version"]) == 0
    assert lowshotgan.__version__ in capsys.readouterr().out
    done = subprocess.run(
        [sys.executable, "-m", "lowshotgan", "--version"], capture_output=True, text=True, check=True
    )
    assert lowshotgan.__version__ in done.stdout


def test_the_commands_are_those_of_the_documentation():
    expected = (
        "list info inspect finetune train generate interpolate project translate recolor transfer synchrony evaluate "
        "doctor download convert"
    )
    assert list(COMMANDS) == expected.split()


def test_finetune_passes_only_what_was_given(api, folder):
    assert run(["finetune", "photos", "--output", "out"]) == 0
    _, args, options = only(api, "finetune")
    assert args == ("stylegan2_64.avatars_v1", "photos")
    assert options == {"output_dir": "out", "dry_run": False, "progress": True}


def test_finetune_options(api, folder):
    words = "finetune photos -o out -r cdc --budget 9m --batch-size 2 -k 5 --seed 3 --no-flip --fit pad"
    assert run([*words.split(), "--background", "#0e092c", "--resume", "never", "--precision", "fp32", "-q"]) == 0
    options = only(api, "finetune")[2]
    assert options == {
        "output_dir": "out",
        "dry_run": False,
        "progress": False,
        "recipe": "cdc",
        "budget": "9m",
        "batch_size": 2,
        "k": 5,
        "seed": 3,
        "flip": False,
        "fit": "pad",
        "background": (14, 9, 44),
        "resume": "never",
        "precision": "fp32",
    }


@pytest.mark.parametrize("colour", ["white", "#ffffff", "255,255,255"])
def test_colours(api, folder, colour):
    assert run(["finetune", "photos", "-o", "out", "--background", colour]) == 0
    assert only(api, "finetune")[2]["background"] == (255, 255, 255)


def test_config_file_fills_in_and_the_command_line_wins(api, folder):
    (folder / "a.toml").write_text('steps = 40\nbatch-size = 2\nrecipe = "cdc"\n')
    assert run(["finetune", "photos", "-o", "out", "--config", "a.toml", "--steps", "7"]) == 0
    options = only(api, "finetune")[2]
    assert (options["steps"], options["batch_size"], options["recipe"]) == (7, 2, "cdc")


def test_config_file_can_hold_everything(api, folder):
    (folder / "a.json").write_text('{"images": "photos", "output": "out", "background": [1, 2, 3], "seed": 4}')
    assert run(["finetune", "--config", "a.json"]) == 0
    options = only(api, "finetune")[2]
    assert (options["output_dir"], options["background"], options["seed"]) == ("out", (1, 2, 3), 4)


@pytest.mark.parametrize(
    ("name", "text", "part"),
    [
        ("a.toml", "stpes = 3", "unknown setting 'stpes'"),
        ("a.toml", "steps = = 3", "cannot read the settings"),
        ("a.json", "[1]", "must hold a table"),
    ],
)
def test_bad_config_file_is_one_line(api, folder, capsys, name, text, part):
    (folder / name).write_text(text)
    assert run(["finetune", "photos", "-o", "out", "--config", name]) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert part in error
    assert error.count("\n") == 1


def test_a_config_file_may_begin_with_a_mark(tmp_path):
    for name, text in (("a.toml", "steps = 3"), ("a.json", '{"steps": 3}')):
        (tmp_path / name).write_text(text, encoding="utf-8-sig")
        assert read_config(tmp_path / name) == {"steps": 3}


@pytest.mark.parametrize("as_json", [False, True])
def test_names_are_printed_where_their_letters_are_not_known(tmp_path, as_json):
    (tmp_path / "фото.png").write_bytes(b"")
    arguments = ["transfer", "m", str(tmp_path / "фото.png"), "--to", "audio", "-o", "café", "--dry-run"]
    code = f"from lowshotgan.cli import main\nmain({[*arguments, *['--json'] * as_json]!a})"
    surroundings = {**os.environ, "PYTHONIOENCODING": "cp1252"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False, env=surroundings)
    assert done.returncode == 0, done.stderr.decode()
    if as_json:
        assert json.loads(done.stdout)["items"].endswith("фото.png")
    else:
        assert b"\\u0444" in done.stdout and b"caf\xe9" in done.stdout


def test_read_config_needs_a_file(tmp_path):
    with pytest.raises(ConfigError, match="cannot read"):
        read_config(tmp_path / "missing.toml")


def test_dry_run_prints_what_the_library_resolved(api, folder, capsys, monkeypatch):
    monkeypatch.setattr(api, "finetune", lambda *a, **o: {"recipe": "cdc", "steps": 500, "nested": {"k": 10}})
    assert run(["finetune", "photos", "-o", "out", "-n", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["nested"] == {"k": 10}
    assert run(["finetune", "photos", "-o", "out", "--dry-run"]) == 0
    assert "nested:\n  k: 10" in capsys.readouterr().out
    assert not (folder / "out").exists()


def test_results_as_text_and_json(api, folder, capsys):
    assert run(["finetune", "photos", "-o", "out"]) == 0
    assert "report: out/report.html" in capsys.readouterr().out
    assert run(["finetune", "photos", "-o", "out", "--json"]) == 0
    about = json.loads(capsys.readouterr().out)
    assert (about["recipe"], about["steps"], about["memorization"]) == ("cdc", 5, None)
    assert run(["train", "stylegan2_64", "--data", "photos", "-o", "out", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["stopped"] == "budget"


def test_further_settings(api, folder):
    (folder / "a.toml").write_text("seed = 3\n[set]\nlr = 0.5\n")
    words = ["--set", "lr=0.001", "--set", "name=far", "--set", "path_every = 8"]
    assert run(["finetune", "photos", "-o", "out", *words]) == 0
    assert run(["finetune", "photos", "-o", "out", "--config", "a.toml"]) == 0
    first, second = (call[2] for call in api.calls)
    assert (first["lr"], first["name"], first["path_every"]) == (0.001, "far", 8)
    assert (second["lr"], second["seed"]) == (0.5, 3)


@pytest.mark.parametrize("change", ["lr", "=3", "a b=3"])
def test_bad_further_setting(api, folder, capsys, change):
    assert run(["finetune", "photos", "-o", "out", "--set", change]) == 1
    assert "NAME=VALUE" in capsys.readouterr().err


def test_training_data_is_one_path_or_named_parts(api, folder, capsys):
    assert run(["train", "syncgan_28", "-d", "first=photos", "--data", "second=photos", "-o", "out"]) == 0
    assert only(api, "train")[1] == ("syncgan_28", {"first": "photos", "second": "photos"})
    for words in (
        ["-d", "first=nowhere"],
        ["-d", "nowhere"],
        ["-d", "photos", "-d", "a=photos"],
        ["-d", "a=photos"] * 2,
    ):
        assert run(["train", "syncgan_28", *words, "-o", "out"]) == 2
    assert "'nowhere', which is to be first" in capsys.readouterr().err


def test_train_takes_a_system_or_a_recipe(api, folder, capsys):
    assert run(["train", "-o", "out"]) == 2
    (folder / "r.toml").write_text("")
    assert run(["train", "--recipe", "r.toml", "-o", "out", "--budget", "1h30m"]) == 0
    _, args, options = only(api, "train")
    assert args == (None, None)
    assert options["recipe_file"] == "r.toml"
    assert options["budget"] == "1h30m"


def test_generate_seeds_grid_and_files(api, folder, capsys):
    words = "generate m --seeds 0,5,10-12 --truncation 0.8 --blend 0.7 --grid sub/g.png --output pngs --columns 3"
    assert run([*words.split(), "--json"]) == 0
    assert only(api, "generate")[1] == {"seeds": [0, 5, 10, 11, 12], "truncation": 0.8}
    assert only(api, "blend") == ("blend", 0.7)
    with Image.open(folder / "sub" / "g.png") as grid:
        assert grid.size == (24, 8)
    assert len(list((folder / "pngs").iterdir())) == 5
    assert json.loads(capsys.readouterr().out)["grid"] == "sub/g.png"


def test_generate_needs_a_place_and_dry_run_needs_no_model(api, folder, capsys):
    assert run(["generate", "m"]) == 2
    assert "--grid FILE" in capsys.readouterr().err
    assert run(["generate", "m", "--seeds", "3", "--grid", "a.png", "-n", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["seeds"] == [3]
    assert api.calls == []


def test_generate_unknown_picture_format(api, folder, capsys):
    assert run(["generate", "m", "--grid", "a.xyz"]) == 1
    assert ".png" in capsys.readouterr().err


@pytest.mark.parametrize("seeds", ["a", "5-3", "", "-1", "1,,x"])
def test_bad_seeds_are_wrong_usage(api, folder, seeds):
    assert run(["generate", "m", f"--seeds={seeds}", "--grid", "a.png"]) == 2


@pytest.mark.parametrize("ending", ["gif", "webp"])
def test_interpolate_writes_an_animation(api, folder, ending):
    assert run(["interpolate", "m", "--seeds", "4,8", "--frames", "5", "--no-loop", "-o", f"walk.{ending}"]) == 0
    assert only(api, "interpolate")[1:] == ([4, 8], {"frames": 5, "loop": False})
    with Image.open(folder / f"walk.{ending}") as image:
        assert image.n_frames == 5


def test_interpolate_refuses_before_loading(api, folder, capsys):
    assert run(["interpolate", "m", "-o", "walk.avi"]) == 1
    assert run(["interpolate", "m", "--seeds", "1", "-o", "walk.gif"]) == 1
    assert api.calls == []


def test_mp4_without_the_extra_names_it(api, folder, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    assert run(["interpolate", "m", "-o", "walk.mp4"]) == 1
    assert 'pip install "lowshotgan[video]"' in capsys.readouterr().err
    with pytest.raises(MissingExtraError):
        write_animation([Image.new("RGB", (8, 8))], folder / "walk.mp4")


def test_project_and_evaluate(api, folder):
    assert run(["project", "m", "photos/a.png", "--output", "p", "--steps", "5"]) == 0
    assert {path.name for path in (folder / "p").iterdir()} == {"projection.png", "ws.safetensors"}
    assert only(api, "project") == ("project", "photos/a.png", {"steps": 5})
    words = "evaluate m photos --train photos --metric kernel --n 50"
    assert run(words.split()) == 0
    options = only(api, "evaluate")[2]
    assert options == {"train": "photos", "metrics": ("kernel",), "n": 50}


def test_partners_make_the_reference_pairs(api, folder):
    (folder / "drawings").mkdir()
    assert run(["evaluate", "m", "photos", "--partners", "drawings"]) == 0
    assert only(api, "evaluate")[1:] == (("m", ("drawings", "photos")), {})


def test_catalogue_commands(api, folder, capsys):
    for words in (
        "list",
        "list --recipes -k 10",
        "info a.b_v1",
        "download a.b_v1 --to w",
        "doctor",
        "inspect photos",
    ):
        assert run(words.split()) == 0, words
        assert capsys.readouterr().out.strip()
        assert run([*words.split(), "--json"]) == 0, words
        json.loads(capsys.readouterr().out)


def test_list_shows_weights_and_says_when_nothing_matches(api, capsys, monkeypatch):
    assert run(["list"]) == 0
    assert "weights: stylegan2_64.a_v1" in capsys.readouterr().out
    monkeypatch.setattr(api, "list_models", lambda *a, **o: [])
    assert run(["list", "nothing*"]) == 0
    assert "nothing matches" in capsys.readouterr().out


def test_info_of_an_architecture(api, capsys, monkeypatch):
    assert run(["info", "stylegan2_64"]) == 0
    told = capsys.readouterr().out
    assert "system: stylegan2\n" in told and "weights: stylegan2_64.a_v1" in told and "resolution: 64" in told
    monkeypatch.setattr(api, "list_weights", lambda name: [])
    assert run(["info", "stylegan2_128"]) == 0
    assert "weights: none published" in capsys.readouterr().out


def test_info_shows_numbers_in_a_row_and_fingerprints_to_programs(api, capsys, monkeypatch):
    known = {"background": [255, 255, 0], "fingerprint": [1, 2, 3], "data": [{"name": "a"}]}
    monkeypatch.setattr(api, "get_weights", lambda name: known)
    assert run(["info", "a.b_v1"]) == 0
    assert capsys.readouterr().out == "name: a.b_v1\nbackground: 255, 255, 0\ndata:\n  -\n    name: a\n"
    assert run(["info", "a.b_v1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["fingerprint"] == [1, 2, 3]


def test_info_of_a_folder(folder, capsys):
    assert run(["info", "photos"]) == 1
    assert "neither a model folder nor a run" in capsys.readouterr().err
    config = {
        "format_version": 1,
        "arch": "stylegan2_64",
        "system": "stylegan2",
        "config": {"resolution": 64},
    }
    (folder / "run" / "model").mkdir(parents=True)
    (folder / "run" / "model" / "config.json").write_text(json.dumps(config))
    assert run(["info", "run", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["model"]["config"] == {"resolution": 64}


def test_doctor_fails_when_a_check_does(api, monkeypatch):
    monkeypatch.setattr(api, "doctor", lambda: {"ok": False})
    assert run(["doctor"]) == 1


@pytest.mark.parametrize(
    "error", [ImageInputError("photos/a.png is\ncut short"), OSError("disk full"), LowshotganError()]
)
def test_expected_errors_are_one_line(api, folder, capsys, monkeypatch, error):
    def fail(*args, **options):
        raise error

    monkeypatch.setattr(api, "finetune", fail)
    assert run(["finetune", "photos", "-o", "out"]) == 1
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert said.count("\n") == 1


def test_unexpected_errors_are_not_hidden(api, folder, monkeypatch):
    def fail(*args, **options):
        raise ZeroDivisionError

    monkeypatch.setattr(api, "finetune", fail)
    with pytest.raises(ZeroDivisionError):
        run(["finetune", "photos", "-o", "out"])


def test_ctrl_c_is_130(api, folder, monkeypatch):
    def stop(*args, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(api, "finetune", stop)
    assert run(["finetune", "photos", "-o", "out"]) == 130


@pytest.mark.skipif(os.name == "nt", reason="needs POSIX signals")
def test_a_real_interrupt_is_130():
    code = (
        "import os, signal, sys, types, lowshotgan\n"
        "fake = types.ModuleType('lowshotgan.api')\n"
        "fake.doctor = lambda: os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.modules['lowshotgan.api'] = lowshotgan.api = fake\n"
        "from lowshotgan.cli import main\n"
        "main(['doctor'])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 128 + signal.SIGINT
    assert "Traceback" not in done.stderr


def test_json_output_stays_clean_when_the_library_prints(api, folder, capsys, monkeypatch):
    monkeypatch.setattr(api, "doctor", lambda: print("noise") or {"ok": True, "value": float("nan")})
    assert run(["doctor", "--json"]) == 0
    said = capsys.readouterr()
    assert json.loads(said.out) == {"ok": True, "value": None}
    assert "noise" in said.err


def test_only_the_main_process_speaks(api, folder, capsys, monkeypatch):
    monkeypatch.setenv("RANK", "1")
    assert run(["finetune", "photos", "-o", "out"]) == 0
    assert capsys.readouterr().out == ""


def test_unknown_command_and_option(capsys):
    assert run(["finetoon"]) == 2
    assert run(["generate", "m", "--sedes", "1"]) == 2


def test_plain_values():
    assert plain({"a": (1, 2.5), 3: Path("x"), "s": {"one"}, "n": float("inf")}) == {
        "a": [1, 2.5],
        "3": "x",
        "s": ["one"],
        "n": None,
    }
    assert lines({"a": {"b": [1, None]}, "c": True, "d": {}}) == "a:\n  b:\n    - 1\n    - -\nc: yes\nd: none"
    assert table([("a", "bb"), ("ccc", "d")]) == "a    bb\nccc  d"
