"""Train the frozen feature network ``lsg1``: a classifier with one head per labelling of the image packs.

    python recipes/train_features.py --data PATH --recipe recipes/features_64.lsg1.toml --publish weights

Time: 20 to 30 minutes on one CPU core, float32; stops and resumes at any time. Without ``--publish`` it only
trains and scores. Expected: heads far above chance on held-out images, see the card it writes.

One more head estimates how strongly each view was blurred, recoloured, zoomed and so on: a plain classifier
would learn to ignore exactly what a quality metric has to see.
"""

import argparse
import csv
import gzip
import io
import json
import math
import time
import tomllib
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from lowshotgan.hub.store import write_model_folder
from lowshotgan.nets.features import FeatureNet

RESOLUTION = 64
STRENGTHS = ("blur", "noise", "saturation", "brightness", "contrast", "hue", "erased", "zoom")


def main() -> None:
    options = _options()
    recipe = tomllib.loads(options.recipe.read_text())
    torch.set_num_threads(options.threads)
    packs = [load_pack(options.data, entry, recipe["train"], options.work / "cache") for entry in recipe["pack"]]
    training = Training(recipe, packs, options.work / "checkpoint.pt")
    training.run()
    scores = training.evaluate()
    (options.work / "scores.json").write_text(json.dumps(scores, indent=1))
    if options.publish:
        publish(training.net, scores, recipe, options.publish / options.recipe.stem)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder that holds the packs")
    parser.add_argument("--recipe", type=Path, required=True, help="TOML file")
    parser.add_argument("--work", type=Path, default=Path("runs/features"), help="checkpoints and decoded packs")
    parser.add_argument("--publish", type=Path, help="weights folder to write the finished network into")
    parser.add_argument("--threads", type=int, default=2)
    return parser.parse_args()


# ---- packs
# ----------------------------------------------------------------------------------------------------


@dataclass
class Pack:
    """Decoded images ``(N, 3, S, S)`` uint8 and one integer label per head, -1 where unknown."""

    entry: dict[str, Any]
    images: np.ndarray
    labels: dict[str, np.ndarray]
    classes: dict[str, list[str]]
    held_out: np.ndarray
    training: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        self.training = np.flatnonzero(~self.held_out)


def load_pack(root: Path, entry: dict[str, Any], train: dict[str, Any], cache: Path) -> Pack:
    size = train["read_size"]
    stem = cache / f"{Path(entry['file']).stem}_{size}"
    if not stem.with_suffix(".json").exists():
        cache.mkdir(parents=True, exist_ok=True)
        images, facts = _decode(root / entry["file"], entry, size)
        np.save(stem.with_suffix(".npy"), images)
        stem.with_suffix(".json").write_text(json.dumps(facts))
    facts = json.loads(stem.with_suffix(".json").read_text())
    labels, classes = {}, {}
    for head, column in entry["labels"].items():
        values = [fact.get(column, "") for fact in facts]
        classes[head] = sorted(set(values) - {""})
        index = {value: i for i, value in enumerate(classes[head])}
        labels[head] = np.array([index.get(value, -1) for value in values])
    held_out = np.array([zlib.crc32(fact["stem"].encode()) % train["held_out"] == 0 for fact in facts])
    return Pack(entry, np.load(stem.with_suffix(".npy"), mmap_mode="r"), labels, classes, held_out)


def _decode(path: Path, entry: dict[str, Any], size: int) -> tuple[np.ndarray, list[dict[str, str]]]:
    images, facts = [], []
    for image, fact in _read_idx(path, entry["limit"]) if path.is_dir() else _read_zip(path, entry):
        images.append(np.asarray(image.convert("RGB").resize((size, size), Image.Resampling.LANCZOS)))
        facts.append(fact)
    return np.stack(images).transpose(0, 3, 1, 2), facts


def _read_zip(path: Path, entry: dict[str, Any]) -> Iterator[tuple[Image.Image, dict[str, str]]]:
    with zipfile.ZipFile(path) as archive:
        table: dict[str, dict[str, str]] = {}
        key = entry.get("key", "file")
        if "table" in entry:
            rows = csv.DictReader(io.StringIO(archive.read(entry["table"]).decode()))
            table = {row[key]: row for row in rows}
        for name in sorted(archive.namelist()):
            folder, stem = str(Path(name).parent), Path(name).stem
            if folder == "." or folder in entry.get("left_out", []):
                continue
            row = table.get(name if key == "file" else stem, {})
            fact = {**row, "folder": folder, "stem": stem if key == "stem" else name}
            yield Image.open(io.BytesIO(archive.read(name))), fact


def _read_idx(path: Path, limit: int) -> Iterator[tuple[Image.Image, dict[str, str]]]:
    pixels = np.frombuffer(gzip.decompress((path / "train-images-idx3-ubyte.gz").read_bytes()), np.uint8, offset=16)
    digits = np.frombuffer(gzip.decompress((path / "train-labels-idx1-ubyte.gz").read_bytes()), np.uint8, offset=8)
    for i, image in enumerate(pixels.reshape(-1, 28, 28)[:limit]):
        yield Image.fromarray(image), {"folder": str(digits[i]), "stem": f"{path.name}/{i:05d}"}


# ---- augmentation
# ---------------------------------------------------------------------------------------------


def augment(images: Tensor, flip: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Random views ``(B, 3, 64, 64)`` of ``(B, 3, S, S)`` in [-1, 1]; strength of each change ``(B, 8)``."""

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand(len(images), *shape, generator=generator)

    def normal(scale: float) -> Tensor:
        return scale * torch.randn(len(images), generator=generator)

    zoom = uniform(-0.45, 0.08)
    x = _crop(images, zoom.exp(), uniform(-0.12, 0.12), uniform(-1, 1, 2), flip & (uniform(0, 1) < 0.5))
    hue, saturation, brightness, contrast = normal(0.15), normal(0.25), normal(0.12), normal(0.2)
    x = _recolour(x, hue, saturation.exp(), brightness, contrast.exp())
    blur = uniform(0.3, 1.8) * (uniform(0, 1) < 0.3)
    x = _blur(x, blur)
    noise = uniform(0.02, 0.3) * (uniform(0, 1) < 0.3)
    x = x + noise[:, None, None, None] * torch.randn(x.shape, generator=generator)
    erased = uniform(0, 1) < 0.2
    x = _erase(x, erased, uniform(0, 1, 4), uniform(-1, 1, 3))
    strengths = (
        blur,
        5 * noise,
        3 * saturation,
        6 * brightness,
        4 * contrast,
        5 * hue,
        erased.float(),
        4 * zoom,
    )
    return x.clamp(-1, 1), torch.stack(strengths, dim=1)


def _crop(images: Tensor, zoom: Tensor, angle: Tensor, offset: Tensor, flip: Tensor) -> Tensor:
    cos, sin = zoom * angle.cos(), zoom * angle.sin()
    mirror = 1 - 2.0 * flip
    shift = offset * (1 - zoom).clamp(min=0.03)[:, None]
    theta = torch.stack(
        [torch.stack([cos * mirror, -sin, shift[:, 0]], 1), torch.stack([sin * mirror, cos, shift[:, 1]], 1)],
        1,
    )
    grid = F.affine_grid(theta, [len(images), 3, RESOLUTION, RESOLUTION], align_corners=False)
    return F.grid_sample(images, grid, padding_mode="border", align_corners=False)


def _recolour(x: Tensor, hue: Tensor, saturation: Tensor, brightness: Tensor, contrast: Tensor) -> Tensor:
    to_yiq = torch.tensor([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])
    turn = torch.zeros(len(x), 3, 3)
    turn[:, 0, 0] = 1
    turn[:, 1, 1] = turn[:, 2, 2] = saturation * hue.cos()
    turn[:, 1, 2], turn[:, 2, 1] = -saturation * hue.sin(), saturation * hue.sin()
    matrix = contrast[:, None, None] * (to_yiq.inverse() @ turn @ to_yiq)
    return (matrix @ x.flatten(2)).view_as(x) + brightness[:, None, None, None]


def _blur(x: Tensor, sigma: Tensor) -> Tensor:
    chosen = sigma > 0
    if not chosen.any():
        return x
    taps = torch.arange(-4, 5).float()
    kernel = torch.exp(-(taps**2) / (2 * sigma[chosen, None] ** 2))
    kernel = (kernel / kernel.sum(1, keepdim=True)).repeat_interleave(3, 0)[:, None]  # (3 n, 1, 9)
    y = F.pad(x[chosen].reshape(1, -1, *x.shape[2:]), (4, 4, 4, 4), mode="replicate")
    y = F.conv2d(F.conv2d(y, kernel[:, :, None], groups=len(kernel)), kernel[..., None], groups=len(kernel))
    x[chosen] = y.view(-1, *x.shape[1:])
    return x


def _erase(x: Tensor, erased: Tensor, box: Tensor, colour: Tensor) -> Tensor:
    size = (10 + 18 * box[:, :2])[:, :, None]
    start = (box[:, 2:] * (RESOLUTION - 10))[:, :, None]
    inside = (torch.arange(RESOLUTION) >= start) & (torch.arange(RESOLUTION) < start + size)  # (B, 2, 64)
    mask = inside[:, 0, :, None] & inside[:, 1, None, :] & erased[:, None, None]
    return torch.where(mask[:, None], colour[:, :, None, None], x)


# ---- training
# -------------------------------------------------------------------------------------------------


class Training:
    """Network, heads, optimiser and random stream, with a checkpoint that restores all of them."""

    def __init__(self, recipe: dict[str, Any], packs: list[Pack], checkpoint: Path) -> None:
        self.settings, self.packs, self.checkpoint = recipe["train"], packs, checkpoint
        torch.manual_seed(self.settings["seed"])
        self.net = FeatureNet(**recipe["net"]).to(memory_format=torch.channels_last)
        sizes = {head: len(names) for pack in packs for head, names in pack.classes.items()}
        self.heads = nn.ModuleDict({head: nn.Linear(self.net.dim, n) for head, n in sizes.items()})
        self.heads["degradation"] = nn.Linear(self.net.dim, len(STRENGTHS))
        self.live = nn.ModuleList([self.net, self.heads])
        decay = [p for p in self.live.parameters() if p.ndim > 1]
        rest = [p for p in self.live.parameters() if p.ndim <= 1]
        groups = [
            {"params": decay, "weight_decay": self.settings["weight_decay"]},
            {"params": rest, "weight_decay": 0.0},
        ]
        self.optimizer = torch.optim.AdamW(groups, lr=0.0, betas=(0.9, 0.98))
        self.average = {name: value.clone() for name, value in self.live.state_dict().items()}
        self.generator = torch.Generator().manual_seed(self.settings["seed"])
        self.step = 0
        if checkpoint.exists():
            self._restore(torch.load(checkpoint, weights_only=True))

    def run(self) -> None:
        start, saved = time.monotonic(), time.monotonic()
        while self.step < self.settings["steps"]:
            losses = self._train_step()
            if self.step % 50 == 0:
                text = "  ".join(f"{name} {value:.3f}" for name, value in losses.items())
                print(f"step {self.step}  {time.monotonic() - start:.0f} s  {text}", flush=True)
            if time.monotonic() - saved > 120 or self.step == self.settings["steps"]:
                self._save()
                saved = time.monotonic()
        self.live.load_state_dict(self.average)

    def _train_step(self) -> dict[str, float]:
        self.live.train()
        images, labels, strengths = self._batch()
        features = self.net(images.contiguous(memory_format=torch.channels_last))
        losses = self._losses(features, labels, strengths)
        total = sum(losses.values(), torch.zeros(()))
        self.optimizer.zero_grad()
        total.backward()
        nn.utils.clip_grad_norm_(self.live.parameters(), 5.0)
        for group in self.optimizer.param_groups:
            group["lr"] = self._rate()
        self.optimizer.step()
        self.step += 1
        self._update_average()
        return {name: float(value.detach()) for name, value in losses.items()}

    def _rate(self) -> float:
        warmup, steps = self.settings["warmup_steps"], self.settings["steps"]
        if self.step < warmup:
            return float(self.settings["learning_rate"] * (self.step + 1) / warmup)
        progress = (self.step - warmup) / (steps - warmup)
        return float(self.settings["learning_rate"] * (0.5 + 0.5 * math.cos(math.pi * progress)) + 1e-6)

    def _batch(self) -> tuple[Tensor, list[dict[str, int]], Tensor]:
        shares = torch.tensor([pack.entry["share"] for pack in self.packs])
        chosen = torch.multinomial(shares, self.settings["batch_size"], replacement=True, generator=self.generator)
        images, labels, flip = [], [], []
        for pack in (self.packs[i] for i in chosen.tolist()):
            i = pack.training[int(torch.randint(len(pack.training), (), generator=self.generator))]
            images.append(torch.from_numpy(pack.images[i].copy()))
            labels.append({head: int(values[i]) for head, values in pack.labels.items()})
            flip.append(pack.entry.get("flip", True))
        views, strengths = augment(torch.stack(images).float() / 127.5 - 1, torch.tensor(flip), self.generator)
        return views, labels, strengths

    def _losses(self, features: Tensor, labels: list[dict[str, int]], strengths: Tensor) -> dict[str, Tensor]:
        """Cross-entropy averaged over the heads of an image, then over images; squared error of strengths."""
        losses = {}
        for head in self.heads:
            rows = [i for i, known in enumerate(labels) if known.get(head, -1) >= 0]
            if rows:
                target = torch.tensor([labels[i][head] for i in rows])
                each = F.cross_entropy(
                    self.heads[head](features[rows]),
                    target,
                    label_smoothing=self.settings["label_smoothing"],
                    reduction="none",
                )
                share = torch.tensor([1 / (len(labels[i]) * len(labels)) for i in rows])
                losses[head] = (each * share).sum()
        error = F.mse_loss(self.heads["degradation"](features), strengths)
        return losses | {"degradation": self.settings["degradation_weight"] * error}

    def _update_average(self) -> None:
        keep = min(self.settings["ema"], (1 + self.step) / (10 + self.step))
        for name, value in self.live.state_dict().items():
            if value.is_floating_point():
                self.average[name].lerp_(value, 1 - keep)
            else:
                self.average[name].copy_(value)

    @torch.no_grad()
    def evaluate(self) -> dict[str, dict[str, float]]:
        """Accuracy of each head on held-out images (plain resize), beside the share of the largest class.

        Heads whose held-out images show only classes that were never trained on are left out.
        """
        self.live.eval()
        scores: dict[str, dict[str, float]] = {}
        for pack in self.packs:
            rows = np.flatnonzero(pack.held_out)
            parts = np.array_split(rows, len(rows) // 100 + 1)
            features = torch.cat([self.net(_plain(pack.images[part])) for part in parts])
            for head, values in pack.labels.items():
                known = torch.from_numpy(np.isin(values[rows], values[pack.training]) & (values[rows] >= 0))
                if known.any():
                    guess, target = (
                        self.heads[head](features).argmax(1)[known],
                        torch.from_numpy(values[rows])[known],
                    )
                    scores[head] = _score(guess, target, len(pack.classes[head]))
                    print(head, scores[head], flush=True)
        return scores

    def _save(self) -> None:
        state = {
            "step": self.step,
            "live": self.live.state_dict(),
            "average": self.average,
            "optimizer": self.optimizer.state_dict(),
            "generator": self.generator.get_state(),
        }
        self.checkpoint.parent.mkdir(parents=True, exist_ok=True)
        torch.save(state, self.checkpoint.with_suffix(".tmp"))
        self.checkpoint.with_suffix(".tmp").replace(self.checkpoint)

    def _restore(self, state: dict[str, Any]) -> None:
        self.step, self.average = state["step"], state["average"]
        self.live.load_state_dict(state["live"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.generator.set_state(state["generator"])


def _plain(images: np.ndarray) -> Tensor:
    x = torch.from_numpy(images.copy()).float() / 127.5 - 1
    return F.interpolate(x, size=(RESOLUTION, RESOLUTION), mode="bilinear", antialias=True, align_corners=False)


def _score(guess: Tensor, target: Tensor, classes: int) -> dict[str, float]:
    right = float((guess == target).float().mean())
    largest = float(target.bincount().max() / len(target))
    return {
        "accuracy": round(right, 4),
        "largest_class": round(largest, 4),
        "classes": classes,
        "images": len(target),
    }


def publish(net: FeatureNet, scores: dict[str, dict[str, float]], recipe: dict[str, Any], folder: Path) -> None:
    """Write the model folder; large tensors become float16, about 4 MB in all."""
    config = {"arch": "features_64", "system": "features", "config": recipe["net"]}
    card = CARD.format(
        parameters=sum(p.numel() for p in net.parameters()) / 1e6,
        steps=recipe["train"]["steps"],
        batch=recipe["train"]["batch_size"],
        one_in=recipe["train"]["held_out"],
        packs="\n".join(_pack_row(entry) for entry in recipe["pack"]),
        heads="\n".join(_head_row(head, score) for head, score in scores.items()),
    )
    extra = {"README.md": card, "metrics.json": json.dumps({"held_out_accuracy": scores}, indent=1)}
    write_model_folder(folder, config, net.state_dict(), half=True, extra_files=extra, license=LICENCE)


def _pack_row(entry: dict[str, Any]) -> str:
    left_out = ", ".join(entry.get("left_out", [])) or "-"
    return f"| {Path(entry['file']).stem} | {entry['licence']} | {', '.join(entry['labels'])} | {left_out} |"


def _head_row(head: str, score: dict[str, float]) -> str:
    accuracy, largest = (f"{100 * score[key]:.1f} %" for key in ("accuracy", "largest_class"))
    return f"| {head} | {score['classes']} | {score['images']} | {accuracy} | {largest} |"


LICENCE = "CC-BY-SA-4.0"

CARD = """---
library_name: lowshotgan
license: cc-by-sa-4.0
tags: [feature-extraction, perceptual-distance, metrics]
---

# features_64.lsg1

Frozen feature network of lowshotgan, for metrics without a download (`KD-lsg1`, `FD-lsg1`, `PD-lsg1`) and for
perceptual losses. {parameters:.2f} million parameters; images of 64 px; four maps (32, 64, 128, 256 channels at
32, 16, 8, 4 px) and an embedding of 256 values. Its scores cannot be compared with FID, KID or LPIPS of papers.

## Training

From random weights, no other network involved: a classifier with one head per labelling below, and one head that
estimates how strongly each training view was blurred, recoloured, zoomed, covered or made noisy, so that the
features see degradations instead of ignoring them. {steps} steps of {batch} images, AdamW, float32 on a CPU,
averaged weights; `recipes/features_64.lsg1.toml` and `recipes/train_features.py` hold every setting. The published
weights were trained in two sittings: about the first 500 steps under the learning-rate schedule of a run of 2,800
steps, the rest as the recipe says, so a new run gives similar, not equal weights.

| pack | licence of the images | heads | folders never read |
|---|---|---|---|
{packs}

The images are of the Oxford-IIIT Pet Dataset (Parkhi et al. 2012), Fruits-360 (Muresan and Oltean), TensorFlow
flowers (by their Flickr photographers), Omniglot (Lake), DiceBear avatars (Adventurer by Lisa Wischofsky; Micah by
Micah Lanier; Personas by Draftbit; Face Generator by The Visual Team; Toon Head by Johan Melin; Miniavs by
Webpixels; Croodles by vijay verma; Notionists by Zoish; Open Peeps by Pablo Stanley; Pixel Art by DiceBear), emoji
of Noto (Google), Blobmoji (C1710), EmojiTwo, Twemoji (Twitter and contributors), OpenMoji and Fluent (Microsoft),
and Fashion-MNIST (Zalando SE).

## Held-out accuracy

One image in {one_in}, chosen by a checksum of its name (for emoji: of the code point, over all vendors), was never
trained on. Fruits of one class are frames of one turning object, so their held-out frames are easy; a pet may be
in both packs, as a face and whole. Emoji identity (head `emoji`) has no held-out figure, because held-out code
points are classes the head never saw. Eyes, mouths and pet breeds it did not learn in the time it had.

| head | classes | held-out images | accuracy | largest class |
|---|---|---|---|---|
{heads}

## Limits

- It knows drawings, emoji, avatars, fruit, flowers, pets, letters and clothes; of other photographs it is a weak
  judge.
- Most images of these packs were training images of this network. Where they also are the reference set of a score,
  the network has seen them as a classifier (as Inception has seen ImageNet), not as a target to be matched. The
  folders in the last column, and one image in {one_in} of the others, it never saw.

## Licence

CC BY-SA 4.0, because some of the training images are under that licence.
"""


if __name__ == "__main__":
    main()
