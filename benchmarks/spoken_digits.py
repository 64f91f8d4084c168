"""Digits you can see and hear: write a PNG and a WAV for each of the ten, and let classifiers of real digits score them.

    python benchmarks/spoken_digits.py --output spoken
    python benchmarks/spoken_digits.py --data image=MNIST --data audio=FSDD --output spoken

The first takes seconds and needs the weights alone: it draws the seed of each digit that ``--scores``, made by the second,
names. ``--output docs/static/spoken`` makes the files of the page on SyncGAN.

The second takes one to two minutes on a CPU core. MNIST is the folder of its idx files, FSDD the zip or folder of spoken
digits. The classifiers are trained on real items only, takes 0 to 4 of each speaker left out. For each digit the lowest seed
whose image the image classifier reads as that digit is written, whatever is heard, so nothing is selected by sound.

``heard.json``, which ``crossmodal.py`` shows if it lies among its cells as ``speech-spoken.json``, holds: how often both
classifiers agree on one code; how often the sound keeps its class once it is a waveform and back (Griffin-Lim); and the
classes of the ten files. ``sheet.png`` shows images above spectrograms.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from _crossmodal_data import CLASSES, agreement, classes_of, judges, perplexity, read_items
from _machine import machine_facts

import lowshotgan as lsg
from lowshotgan.data.images import image_grid

SCORES = Path(__file__).resolve().parents[1] / "docs" / "benchmarks" / "crossmodal" / "speech-spoken.json"
"""Of the published weights."""


def main(arguments: list[str] | None = None) -> dict[str, Any]:
    options = parse(arguments)
    found = scored(options) if options.data else drawn(options)
    print(json.dumps(found, indent=1))
    return found


def drawn(options: argparse.Namespace) -> dict[str, Any]:
    """Write the files of seeds that are known to show each digit."""
    known = json.loads(options.scores.read_text(encoding="utf-8"))
    if known["model"] != options.model:
        raise SystemExit(
            f"{options.scores} names the seeds of {known['model']}, not of {options.model}; pass --data to find those."
        )
    seeds = {int(digit): file["seed"] for digit, file in known["files"].items()}
    made = lsg.load(options.model).generate(seeds=list(seeds.values()))
    write_files(made, {digit: row for row, digit in enumerate(seeds)}, options.output)
    return {"model": options.model, "files": known["files"]}


def scored(options: argparse.Namespace) -> dict[str, Any]:
    """Find a seed for each digit, write its files and the scores."""
    paths = {name: Path(path) for name, _, path in (entry.partition("=") for entry in options.data)}
    judge = judges(read_items("speech", paths, test=False), options.work / "speech")
    test = read_items("speech", paths, test=True)
    model = lsg.load(options.model)
    made = model.generate(options.samples, batch_size=100)
    seen = classes_of(judge["image"], made.values["image"])
    heard = classes_of(judge["audio"], made.values["audio"])
    again = model.modalities["audio"].read(made.decoded("audio"))
    found: dict[str, Any] = {
        "model": options.model,
        "samples": options.samples,
        "judge_image": agreement(classes_of(judge["image"], test["image"].values), test["image"].labels),
        "judge_audio": agreement(classes_of(judge["audio"], test["audio"].values), test["audio"].labels),
        "synchronous": agreement(seen, heard),
        "independent": agreement(seen, heard.roll(1)),
        "classes_image": perplexity(seen),
        "classes_audio": perplexity(heard),
        "kept_as_waveform": agreement(heard, classes_of(judge["audio"], again)),
    }
    first = {digit: int((seen == digit).nonzero()[0, 0]) for digit in range(CLASSES) if bool((seen == digit).any())}
    found["machine"] = machine_facts()
    found["files"] = {str(digit): {"seed": seed, "heard_as": int(heard[seed])} for digit, seed in first.items()}
    write_files(made, first, options.output)
    (options.output / "heard.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return found


def write_files(made: Any, first: dict[int, int], folder: Path) -> None:
    """``<digit>.png`` and ``<digit>.wav``, and all of them as one picture, low frequencies at the bottom."""
    folder.mkdir(parents=True, exist_ok=True)
    images, sounds = made.decoded("image"), made.decoded("audio")
    for digit, row in first.items():
        images[row].save(folder / f"{digit}.png")
        sounds[row].save(folder / f"{digit}.wav")
    rows = torch.tensor(list(first.values()))
    shown = [made.values["image"][rows], made.values["audio"][rows].flip(2)]
    both = torch.cat([F.interpolate(part, size=(64, 64)) for part in shown]).expand(-1, 3, -1, -1)
    image_grid(both, len(rows)).convert("L").save(folder / "sheet.png", optimize=True)


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="syncgan_28.mnist_fsdd_v1", help="a name, folder or run")
    parser.add_argument("--data", action="append", help="NAME=PATH of image and audio; without, nothing is scored")
    parser.add_argument("--scores", type=Path, default=SCORES, help="a heard.json with the seed of each digit")
    parser.add_argument("--samples", type=int, default=500)
    parser.add_argument("--output", type=Path, default=Path("spoken"))
    parser.add_argument("--work", type=Path, default=Path("runs/crossmodal"), help="where the classifiers are kept")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
