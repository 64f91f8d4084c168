"""The command ``transfer`` and ``generate --modality``, with a tiny model on disk."""

import json
import wave

import pytest
import torch
from PIL import Image

from lowshotgan.api import create_model, load
from lowshotgan.cli import run
from lowshotgan.data.audio import Sound


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A folder with a picture and a model of pictures and sound."""
    folder = tmp_path_factory.mktemp("world")
    torch.manual_seed(0)
    lines = ("image=image:1x16x16", "audio=logmel:1x16x16@8000/400/400/512/60-3900")
    create_model("syncgan_32", resolution=16, modalities=lines, width=4, concept_dim=4, private_dim=2).save_pretrained(
        folder / "digits"
    )
    Image.new("L", (20, 20), 90).save(folder / "seven.png")
    noise = torch.randn(5, 7000, generator=torch.Generator().manual_seed(0)) / 9
    for number in range(4):
        (folder / "seen").mkdir(exist_ok=True)
        Image.new("L", (20, 20), 60 * number).save(folder / "seen" / f"{number}.png")
        Sound(noise[number], 8000).save(folder / "said" / f"{number}.wav")
    return folder


def test_a_picture_becomes_a_sound(world, tmp_path, capsys):
    arguments = [
        "transfer",
        str(world / "digits"),
        str(world / "seven.png"),
        "--to",
        "audio",
        "--steps",
        "3",
        "-n",
        "2",
    ]
    assert run([*arguments, "--output", str(tmp_path / "heard"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert len(told["files"]) == len(told["error"]) == 2
    with wave.open(told["files"][0], "rb") as file:
        assert (file.getnchannels(), file.getframerate()) == (1, 8000) and file.getnframes() == 15 * 400 + 400


def test_one_modality_or_all_are_drawn(world, tmp_path):
    for options, names in ((["--modality", "audio"], ["seed000003_audio.wav"]), ([], None)):
        place = tmp_path / str(len(options))
        assert run(["generate", str(world / "digits"), "--seeds", "3", "--output", str(place), *options]) == 0
        found = sorted(path.name for path in place.iterdir())
        assert found == (names or ["seed000003_audio.wav", "seed000003_image.png"])


def test_unknown_modalities_are_named(world, tmp_path, capsys):
    arguments = ["transfer", str(world / "digits"), str(world / "seven.png"), "--to", "smell"]
    assert run([*arguments, "--output", str(tmp_path / "o")]) == 1
    assert "to must be one of audio, image" in capsys.readouterr().err and not (tmp_path / "o").exists()


def test_a_rehearsal_of_transfer_writes_nothing(world, tmp_path, capsys):
    arguments = ["transfer", str(world / "digits"), str(world / "seven.png"), "--to", "audio", "-n", "3"]
    arguments += ["--method", "nearest", "--candidates", "7", "--output", str(tmp_path / "o"), "--dry-run", "--json"]
    assert run(arguments) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["n"], told["candidates"], told["method"], told["to"]) == (3, 7, "nearest", "audio")
    assert not (tmp_path / "o").exists()


def test_candidates_reach_the_model(world, tmp_path, capsys):
    words = ["transfer", str(world / "digits"), str(world / "said"), "--to", "image", "--method", "nearest", "--json"]
    found = {}
    for count in ("1", "50"):
        assert run([*words, "--candidates", count, "--output", str(tmp_path / count)]) == 0
        found[count] = len(set(json.loads(capsys.readouterr().out)["error"]))
        files = [path.read_bytes() for path in sorted((tmp_path / count).iterdir())]
        assert len(files) == 4 and (count != "1" or len(set(files)) == 1)  # of one candidate there is one picture


def test_a_sound_that_is_wanted_as_sound_is_there_already(world, tmp_path, capsys):
    words = ["transfer", str(world / "digits"), str(world / "said" / "0.wav"), "--to", "audio"]
    assert run([*words, "--output", str(tmp_path / "o")]) == 1
    assert "are audio already" in capsys.readouterr().err


def test_synchrony_is_told_for_each_pair(world, capsys):
    words = ["synchrony", str(world / "digits"), "--data", f"audio={world / 'said'}"]
    both = [*words, "-d", f"image={world / 'seen'}"]
    assert run([*both, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["synchrony"]
    model = load(world / "digits")
    expected = model.synchrony(world / "said", world / "seen", names=("audio", "image"))
    assert found == pytest.approx(expected.tolist(), abs=1e-4) and len(found) == 4
    assert run(both) == 0
    assert capsys.readouterr().out.splitlines()[1].split() == ["1", f"{found[1]:.4f}"]
    assert run(words) == 2
    assert "twice" in capsys.readouterr().err
    create_model("cond_syncgan_28").save_pretrained(world / "turned")
    assert run(["synchrony", str(world / "turned"), *both[2:]]) == 1
    assert "no synchronizer to ask" in capsys.readouterr().err


def test_pairs_of_two_folders_fine_tune_a_model(world, tmp_path, capsys, caplog):
    words = ["finetune", "--data", f"image={world / 'seen'}", "--data", f"audio={world / 'said'}", "--aligned"]
    words += ["-m", str(world / "digits"), "-o", str(tmp_path / "run"), "--batch-size", "2", "--steps", "1", "-q"]
    assert run([*words, "--dry-run", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["data"]["count"] == {"image": 4, "audio": 4} and not (tmp_path / "run").exists()
    assert run([*words, "--set", "synchronizer_steps=1", "--device", "cpu"]) == 0
    assert any("4 pairs are fewer than 20" in record.getMessage() for record in caplog.records)
    assert load(tmp_path / "run").details["finetuning"]["images"] == 8
    assert run(["finetune", str(world / "seen"), *words[6:]]) == 1
    assert "--data image=PATH --data audio=PATH" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [["seen", "-d", "image=seen"], [], ["--aligned", "seen"], ["--partners", "seen", "-d", "image=seen"]],
)
def test_examples_are_given_in_one_way(world, words, monkeypatch, capsys):
    monkeypatch.chdir(world)
    assert run(["finetune", *words, "-m", "digits", "-o", "run"]) == 2
    assert run(["train", "syncgan_32", "-d", "seen", "--aligned", "-o", "run"]) == 2
    assert "--aligned is for" in capsys.readouterr().err
