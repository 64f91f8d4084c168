"""The cross-modal benchmark and the spoken digits, on a few drawn items and with untrained networks."""

import gzip
import json
import math
import struct
import zipfile

import pytest
import torch

from lowshotgan.api import create_model
from lowshotgan.data.audio import Sound


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Ten digits of two images, and of six takes each."""
    folder = tmp_path_factory.mktemp("digits")
    random = torch.Generator().manual_seed(0)
    for part in ("train", "t10k"):
        write_idx(folder / f"{part}-images-idx3-ubyte.gz", torch.randint(256, (20, 28, 28), generator=random).byte())
        write_idx(folder / f"{part}-labels-idx1-ubyte.gz", (torch.arange(20) % 10).byte())
    with zipfile.ZipFile(folder / "spoken.zip", "w") as archive:
        for digit in range(10):
            for take in (0, 1, 10, 11):
                tone = torch.sin(torch.arange(3000) * 2 * math.pi * (200 + 100 * digit + take) / 8000)
                path = Sound(0.5 * tone, 8000).save(folder / "one.wav")
                archive.write(path, f"{digit}/anna_{take:02d}.wav")
    return folder


@pytest.fixture
def small(monkeypatch):
    import _crossmodal_data

    monkeypatch.setattr(_crossmodal_data, "TRAIN_IMAGES", 20)
    monkeypatch.setattr(_crossmodal_data, "TEST_IMAGES", 20)
    monkeypatch.setattr(_crossmodal_data.train_judge, "__kwdefaults__", {"steps": 2, "seed": 0})
    return _crossmodal_data


def arguments(data):
    return ["--data", f"image={data}", "--data", f"audio={data / 'spoken.zip'}"]


def test_items_are_split_and_labelled(data, small):
    paths = {"image": data, "audio": data / "spoken.zip"}
    train, test = (small.read_items("speech", paths, test=test) for test in (False, True))
    assert train["audio"].values.shape == test["audio"].values.shape == (20, 1, 32, 32)
    assert torch.equal(train["audio"].labels, torch.arange(10).repeat_interleave(2))
    assert not torch.equal(train["audio"].values, test["audio"].values)
    assert train["image"].labels.bincount().tolist() == [2] * 10


def test_scores_have_known_answers(small):
    classes = torch.arange(10).repeat(3)
    assert small.perplexity(classes) == pytest.approx(10, abs=1e-6)
    assert small.perplexity(torch.zeros(5, dtype=torch.long)) == pytest.approx(1, abs=1e-6)
    assert small.agreement(torch.tensor([1, 2, 3, 4]), torch.tensor([1, 2, 0, 0])) == 0.5


def test_cells_are_written_once_and_make_a_table(data, small, tmp_path, capsys):
    import crossmodal

    common = [*arguments(data), "--output", str(tmp_path / "cells"), "--table", str(tmp_path / "t.md")]
    common += ["--work", str(tmp_path / "work"), "--seeds", "1", "--pairs", "10", "--synchronizer-steps", "2"]
    common += ["--samples", "20", "--transfers", "4", "--steps", "1"]
    crossmodal.main([*common, "--cells", "judges,synchronizer"])
    cell = tmp_path / "cells" / "speech-synchronizer-pairs10-seed0.json"
    found = json.loads(cell.read_text())
    assert 0 <= found["auc"] <= 1 and (found["pairs"], found["steps"]) == (10, 2)
    found["auc"] = 0.987
    cell.write_text(json.dumps(found))
    crossmodal.main([*common, "--cells", "synchronizer"])
    table = (tmp_path / "t.md").read_text()
    assert "| 10 | 0.987 (1 seed) | not run |" in table and "| published | not run |" in table
    assert "Ceiling" in table and "sync_weight=0 | not run" in table


def test_a_training_on_few_pairs_is_scored_by_its_pairs(data, small, tmp_path, monkeypatch):
    import crossmodal

    monkeypatch.setitem(crossmodal.SETTINGS, "synchronizer_steps", 1)
    common = [
        "--pair",
        "garments",
        "--data",
        f"digit={data}",
        "--data",
        f"garment={data}",
        "--table",
        str(tmp_path / "t.md"),
    ]
    common += [
        "--work",
        str(tmp_path / "work"),
        "--seeds",
        "1",
        "--pairs",
        "10",
        "--samples",
        "20",
        "--transfers",
        "0",
    ]
    cells = "conditional,concat,generator,unsynchronised"
    common += ["--output", str(tmp_path), "--steps", "1", "--warm-up", "1", "--concat-steps", "1"]
    crossmodal.main([*common, "--cells", cells])
    found = json.loads((tmp_path / "garments-generator-pairs10-seed0.json").read_text())
    assert 0 <= found["sync_rate"] <= 1 and found["pairs"] == 10 and "digit to garment" not in found
    table = (tmp_path / "t.md").read_text()
    row = next(line for line in table.splitlines() if line.startswith("| 10 |"))
    assert f"{found['sync_rate']:.3f} (1 seed)" in row
    assert "| sync_weight=0, 1 steps |" in table and "classes, garment" in table
    assert "The conditional model, 1 steps" in table and "SyncGAN, every digit a concept of its own: not run" in table
    assert "The synchronizer on joined features: not run" in table  # only its 10 pairs were


def test_a_gan_of_the_pairs_alone_sees_nothing_else(small):
    import crossmodal
    from _crossmodal_data import Items

    labels = torch.arange(50) % 10
    items = Items(torch.arange(50.0)[:, None, None, None], labels)
    kept = crossmodal.first_of_each(items, 2)
    assert kept.labels.tolist() == [label for label in range(10) for _ in range(2)]
    assert kept.values.flatten().tolist() == [first for label in range(10) for first in (label, label + 10)]


def test_instances_are_compared_with_themselves_and_their_class(data, small, tmp_path, monkeypatch):
    import _crossmodal_turned
    import crossmodal

    monkeypatch.setitem(_crossmodal_turned.SETTINGS, "synchronizer_steps", 1)
    monkeypatch.setitem(_crossmodal_turned.SETTINGS, "encoder_steps", 1)
    common = ["--pair", "garments", "--data", f"digit={data}", "--data", f"garment={data}", "--seeds", "1"]
    common += ["--table", str(tmp_path / "t.md"), "--work", str(tmp_path / "work"), "--output", str(tmp_path)]
    crossmodal.main([*common, "--cells", "instances", "--steps", "1", "--warm-up", "1", "--transfers", "3"])
    found = json.loads((tmp_path / "garments-instances-seed0.json").read_text())
    assert -1 <= found["ssim"] <= 1 and -1 <= found["ssim_class"] <= 1
    assert "3 digits transferred" in (tmp_path / "t.md").read_text()


def test_another_digit_of_the_class_is_never_the_same_one():
    from _crossmodal_data import Items
    from _crossmodal_turned import _another

    items = Items(torch.arange(6.0)[:, None, None, None], torch.tensor([0, 1, 0, 1, 0, 1]))
    assert [float(_another(items, 0, row)) for row in (0, 2, 4)] == [2, 4, 0]


def test_a_collapsed_model_does_not_pass(tmp_path):
    from _crossmodal_report import report

    machine = {"cpu": "some", "threads": 1}
    cell = {"model": "m", "sync_rate": 1.0, "independent_rate": 1.0, "perplexity_image": 1.0, "perplexity_audio": 1.0}
    (tmp_path / "speech-model.json").write_text(json.dumps(cell | {"machine": machine}))
    row = next(line for line in report(tmp_path).splitlines() if line.startswith("| m |"))
    assert row.endswith("| missed |")
    cell |= {"sync_rate": 0.8, "independent_rate": 0.1, "perplexity_image": 9.0, "perplexity_audio": 8.0}
    (tmp_path / "speech-model.json").write_text(json.dumps(cell | {"machine": machine}))
    row = next(line for line in report(tmp_path).splitlines() if line.startswith("| m |"))
    assert row.endswith("| met |")


def test_digits_are_written_and_scored(data, small, tmp_path):
    import spoken_digits

    torch.manual_seed(0)
    lines = ("image=image:1x28x28", "audio=logmel:1x32x32@8000/400/200/512/60-3900")
    model = create_model("syncgan_28", modalities=lines, width=4, concept_dim=4, private_dim=2)
    model.save_pretrained(tmp_path / "model")
    words = ["--model", str(tmp_path / "model"), "--output", str(tmp_path / "out"), "--samples", "8"]
    found = spoken_digits.main([*arguments(data), *words, "--work", str(tmp_path / "work")])
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert {f"{d}.{end}" for d in found["files"] for end in ("png", "wav")} | {"heard.json", "sheet.png"} == names
    assert found["files"] and 0 <= found["kept_as_waveform"] <= 1


def write_idx(path, values):
    head = bytes((0, 0, 8, values.ndim)) + struct.pack(f">{values.ndim}I", *values.shape)
    path.write_bytes(gzip.compress(head + values.numpy().tobytes()))
