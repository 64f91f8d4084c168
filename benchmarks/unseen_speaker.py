"""Does the synchronizer know a digit from a voice it never heard? One speaker after the other is left out.

    python benchmarks/unseen_speaker.py --data image=MNIST --data audio=FSDD

Time: a minute a speaker on a CPU core. MNIST is the folder of its idx files, FSDD the zip or folder of recordings
named ``<digit>/<speaker>_<take>.wav``. A synchronizer is trained alone for ``--steps`` steps, as in ``crossmodal.py``, on
takes from 5 on of all speakers but one, and so is a classifier of sounds. Both are asked about takes 0 to 4: of the speaker
who was left out, and of the others. ``--output`` holds, for each speaker, the AUC over all pairs of these takes and 250 test
images, and the classifier's accuracy.
"""

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import torch
from _crossmodal_data import (
    TEST_TAKES,
    Items,
    agreement,
    as_sync_data,
    classes_of,
    modalities,
    read_items,
    train_judge,
)
from _machine import machine_facts

import lowshotgan as lsg
from lowshotgan.data.sounds import open_sounds
from lowshotgan.losses.synchrony import auc
from lowshotgan.train.loop import LoopSettings, fit
from lowshotgan.train.machine import Machine

IMAGES = 250
SIZES = {"width": 12, "concept_dim": 8, "private_dim": 8, "synchronizer_width": 8}


def main(arguments: list[str] | None = None) -> dict[str, Any]:
    options = parse(arguments)
    paths = {name: Path(path) for name, _, path in (entry.partition("=") for entry in options.data)}
    images = {test: read_items("speech", paths, test=test)["image"] for test in (False, True)}
    chosen = torch.randperm(len(images[True].labels), generator=torch.Generator().manual_seed(0))[:IMAGES]
    images[True] = Items(images[True].values[chosen], images[True].labels[chosen])
    found: dict[str, Any] = {"steps": options.steps, "seed": options.seed, "machine": machine_facts(), "speakers": {}}
    for speaker in options.speakers or speakers(paths["audio"]):
        found["speakers"][speaker] = without(speaker, paths["audio"], images, options)
        print(speaker, found["speakers"][speaker], flush=True)
    options.output.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return found


def speakers(path: Path) -> list[str]:
    """Everyone who is named in the files."""
    return sorted({Path(one.name).stem.rpartition("_")[0] for one in open_sounds(path)})


def without(speaker: str, path: Path, images: dict[bool, Items], options: argparse.Namespace) -> dict[str, float]:
    """Train without a speaker; AUC and accuracy for the takes of that speaker and of the others."""
    voice = f"*/{speaker}_"
    train = recordings(path, exclude=[TEST_TAKES, f"{voice}*"])
    torch.manual_seed(options.seed)
    judge = train_judge(train, seed=options.seed)
    model = train_synchronizer({"image": images[False], "audio": train}, options)
    found = {}
    for name, sounds in (
        ("unseen", recordings(path, include=[f"{voice}{TEST_TAKES.removeprefix('*_')}"])),
        ("others", recordings(path, include=[TEST_TAKES], exclude=[f"{voice}*"])),
    ):
        found[f"auc_{name}"] = round(matched(model, images[True], sounds), 4)
        found[f"accuracy_{name}"] = round(agreement(classes_of(judge, sounds.values), sounds.labels), 4)
    return found


def recordings(path: Path, **chosen: list[str]) -> Items:
    values, labels = modalities("speech")["audio"].read_labelled(path, **chosen)
    return Items(values, torch.tensor([int(label or -1) for label in labels]))


def train_synchronizer(items: dict[str, Items], options: argparse.Namespace) -> Any:
    """A model whose first stage alone was run."""
    model: Any = lsg.create_model("syncgan_28", modalities=modalities("speech"), **SIZES)
    training = model.Training(batch_size=32, synchronizer_steps=options.steps)
    stage = next(iter(model.stages(as_sync_data(items), training, seed=options.seed)))
    settings = LoopSettings(precision="fp32", resume="never", seed=options.seed)
    with tempfile.TemporaryDirectory() as folder:
        fit([stage], output_dir=Path(folder), machine=Machine("cpu"), settings=settings)
    return model


@torch.no_grad()
def matched(model: Any, images: Items, sounds: Items) -> float:
    """Chance that a matching pair is rated above another, over all pairs."""
    judge = model.discriminator.synchronizer.eval()
    logits = judge.combinations(images.values, sounds.values, ("image", "audio"))
    return auc(logits.flatten(), (images.labels[:, None] == sounds.labels[None]).flatten())


def parse(arguments: list[str] | None) -> argparse.Namespace:
    here = Path(__file__).resolve().parents[1] / "docs" / "benchmarks"
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", action="append", required=True, help="NAME=PATH of image and audio")
    parser.add_argument("--speakers", nargs="*", help="to leave out, one after the other; all by default")
    parser.add_argument("--steps", type=int, default=600, help="of each synchronizer")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=here / "unseen_speaker.json")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
