"""benchmarks/paired.py: scores of perfect and of unrelated twins, and a run of two cells that resumes."""

import json

import paired
import pytest
import torch

from lowshotgan.api import create_model
from lowshotgan.data.appearance import apply_appearance
from lowshotgan.data.images import to_pil
from lowshotgan.data.synthetic import faces


def options(tmp_path, *more):
    return [
        "--data",
        str(tmp_path / "faces"),
        "--models",
        f"lado={tmp_path / 'base'}",
        "--output",
        str(tmp_path),
        *more,
    ]


def test_scores_of_perfect_twins_and_of_copies(tmp_path):
    flat = faces(48, resolution=32)
    real, shots = apply_appearance(flat[24:], "line"), apply_appearance(flat[20:24], "line")
    chosen = paired.parse(options(tmp_path, "--extractor", "lsg1"))
    perfect = paired.score(flat[:20], apply_appearance(flat[:20], "line"), real, shots, chosen)
    assert perfect["CR"] == 0 and perfect["KD"] == pytest.approx(perfect["oracle"])
    copies = paired.score(flat[:20], shots.repeat(5, 1, 1, 1), real, shots, chosen)
    assert copies["copying"] < 0.05 < 0.6 < perfect["copying"]
    assert copies["diversity"] < perfect["diversity"] and copies["CR"] > 0.8


def test_cells_are_run_once_and_told_in_a_table(tmp_path, monkeypatch, capsys):
    torch.manual_seed(0)
    create_model("lado_32", resolution=16, content_dim=6, appearance_dim=4, width=4).save_pretrained(tmp_path / "base")
    (tmp_path / "faces").mkdir()
    for number, image in enumerate(to_pil(faces(16, resolution=16))):
        image.save(tmp_path / "faces" / f"{number}.png")
    words = options(tmp_path, "--shots", "5", "--draws", "2", "--seeds", "1", "--samples", "12", "--held-out", "8")
    for change in ("steps=1", "align_steps=1", "perceptual=disc"):
        words += ["--set", change]
    table = paired.main([*words, "--extractor", "lsg1"])
    assert [line.split("|")[1:4] for line in table.splitlines()[2:]] == [[" lado ", " 5 ", " 2 "]]
    cells = sorted(tmp_path.glob("lado-line-k5-*.json"))
    assert set(json.loads(cells[0].read_text())) >= {*paired.COLUMNS, "seconds", "draw", "seed"}
    monkeypatch.setattr(paired, "run_cell", None)  # a second call must run nothing
    assert paired.main(words) == table
