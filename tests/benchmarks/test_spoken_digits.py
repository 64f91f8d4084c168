"""The spoken digits from weights and known seeds alone, and voices that were left out, with untrained networks."""

import gzip
import json
import struct
from pathlib import Path

import pytest
import torch

from lowshotgan.api import create_model, load
from lowshotgan.data.audio import Sound, read_sound
from lowshotgan.systems.syncgan.modalities import SpectrogramModality


@pytest.fixture
def model(tmp_path):
    torch.manual_seed(0)
    lines = ("image=image:1x28x28", "audio=logmel:1x32x32@8000/400/200/512/60-3900")
    made = create_model("syncgan_28", modalities=lines, width=4, concept_dim=4, private_dim=2)
    made.save_pretrained(tmp_path / "model")
    return str(tmp_path / "model")


def test_known_seeds_are_drawn_without_data(model, tmp_path, capsys):
    import spoken_digits

    files = {"3": {"seed": 40, "heard_as": 3}, "7": {"seed": 2, "heard_as": 1}}
    (tmp_path / "scores.json").write_text(json.dumps({"model": model, "files": files}))
    words = ["--scores", str(tmp_path / "scores.json"), "--output", str(tmp_path / "out")]
    assert spoken_digits.main(["--model", model, *words])["files"] == files
    assert json.loads(capsys.readouterr().out)["model"] == model
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["3.png", "3.wav", "7.png", "7.wav", "sheet.png"]
    expected = load(model).generate(seeds=[40]).audio[0].samples
    torch.testing.assert_close(read_sound(tmp_path / "out" / "3.wav").samples, expected, atol=1e-3, rtol=0)
    with pytest.raises(SystemExit, match="pass --data"):
        spoken_digits.main(["--model", "another", *words])


def test_the_files_of_the_page_are_those_of_the_scores():
    folder = Path(__file__).parents[2] / "docs"
    known = json.loads((folder / "benchmarks" / "crossmodal" / "speech-spoken.json").read_text(encoding="utf-8"))
    page = (folder / "syncgan.md").read_text(encoding="utf-8")
    for digit, file in known["files"].items():
        assert read_sound(folder / "static" / "spoken" / f"{digit}.wav").rate == 8000
        row = next(line for line in page.splitlines() if line.startswith(f"| [{digit}](static/spoken/{digit}.wav) | "))
        assert f"_static/spoken/{digit}.wav" in row and row.endswith(f"| {file['heard_as']} |")


def test_the_page_tells_what_was_measured_of_unseen_voices():
    folder = Path(__file__).parents[2] / "docs"
    found = json.loads((folder / "benchmarks" / "unseen_speaker.json").read_text(encoding="utf-8"))
    page = (folder / "syncgan.md").read_text(encoding="utf-8")
    for name, one in found["speakers"].items():
        auc, accuracy = (
            [f"{one[f'{what}_{who}']:{form}}" for who in ("unseen", "others")]
            for what, form in (("auc", ".3f"), ("accuracy", ".2f"))
        )
        assert f"| {name} | {' | '.join(auc + accuracy)} |" in page


def test_voices_are_left_out_one_by_one(tmp_path, monkeypatch):
    import _crossmodal_data
    import unseen_speaker

    monkeypatch.setattr(_crossmodal_data, "TRAIN_IMAGES", 20)
    monkeypatch.setattr(_crossmodal_data, "TEST_IMAGES", 20)
    monkeypatch.setattr(_crossmodal_data.train_judge, "__kwdefaults__", {"steps": 2, "seed": 0})
    random = torch.Generator().manual_seed(0)
    for part in ("train", "t10k"):
        write_idx(tmp_path / f"{part}-images-idx3-ubyte.gz", torch.randint(256, (20, 28, 28), generator=random).byte())
        write_idx(tmp_path / f"{part}-labels-idx1-ubyte.gz", (torch.arange(20) % 10).byte())
    for digit in range(10):
        for voice in ("ann", "bob"):
            for take in ("00", "10"):
                name = f"{digit}/{voice}_{take}.wav"
                Sound(torch.randn(3000, generator=random) / 9, 8000).save(tmp_path / "spoken" / name)
    asked, read = [], unseen_speaker.recordings
    monkeypatch.setattr(unseen_speaker, "recordings", lambda *a, **o: asked.append(read(*a, **o)) or asked[-1])
    words = ["--data", f"image={tmp_path}", "--data", f"audio={tmp_path / 'spoken'}", "--steps", "2"]
    found = unseen_speaker.main([*words, "--output", str(tmp_path / "found.json")])
    assert set(found["speakers"]) == {"ann", "bob"} and json.loads((tmp_path / "found.json").read_text()) == found
    assert all(0 <= value <= 1 for one in found["speakers"].values() for value in one.values())
    train, unseen, others = asked[:3]
    audio = SpectrogramModality.spoken()
    for items, pattern in ((train, "*/bob_10.wav"), (unseen, "*/ann_00.wav"), (others, "*/bob_00.wav")):
        assert torch.equal(items.values, audio.read(tmp_path / "spoken", include=[pattern]))


def write_idx(path, values):
    head = bytes((0, 0, 8, values.ndim)) + struct.pack(f">{values.ndim}I", *values.shape)
    path.write_bytes(gzip.compress(head + values.numpy().tobytes()))
