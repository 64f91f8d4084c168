"""Calibrate the copy threshold: who is accused, and who is found, at each distance ratio?

    python benchmarks/memorization.py --data PATH --output docs/benchmarks

Time: about 3 minutes on one CPU core. Expected at the shipped threshold: below 1 % of independent images are
accused, and nearly all lightly changed copies are found.

PATH holds the image packs. In each domain K images play the training set. Other images of the domain, which
nobody copied, must not be accused; copies of the K images, mirrored or not, moved, rescaled, brightened,
blurred or made noisy by amounts the eye hardly notices, must be.
"""

import argparse
import json
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from lowshotgan.data.dataset import load_images
from lowshotgan.metrics.extractors import Extractor, load_extractor
from lowshotgan.metrics.memorization import COPY_RATIO, COPY_SSIM, CopiedPair, memorization

DOMAINS = {
    "adventurer avatars": ("avatars_adventurer_128.zip", None),
    "lorelei avatars (never seen)": ("avatars_styles_128.zip", ["lorelei"]),
    "micah avatars": ("avatars_styles_128.zip", ["micah"]),
    "notionists avatars": ("avatars_styles_128.zip", ["notionists"]),
    "fluent 3D emoji (never seen)": ("emoji_vendors_128.zip", ["fluent_3d"]),
    "twemoji": ("emoji_vendors_128.zip", ["twemoji"]),
    "flowers": ("flowers_128.zip", ["daisy"]),
    "pet faces": ("pet_faces_128.zip", None),
}
SHOTS = (5, 10, 25, 100)
RATIOS = (0.02, 0.04, 0.06, 0.07, 0.08, 0.1, 0.15, 0.2, 0.3)
STRANGERS = 150


def lightly_changed(images: Tensor, seed: int) -> Tensor:
    """Copies of uint8 ``(N, 3, H, W)``, each mirrored with probability one half, moved by up to 1 px each way,
    brightened by up to 5 levels, given up to 5 % more or less contrast, softened and made noisy (sigma 2 levels).
    """
    generator = torch.Generator().manual_seed(seed)

    def uniform(scale: float) -> Tensor:
        return scale * (2 * torch.rand(len(images), 1, 1, 1, generator=generator) - 1)

    steps = torch.randint(-1, 2, (len(images), 2), generator=generator).tolist()
    moved = torch.stack([_moved(image, *step) for image, step in zip(images.float(), steps, strict=True)])
    x = torch.where(uniform(1.0) > 0, moved, moved.flip(-1))
    taps = torch.tensor([0.04, 0.92, 0.04]).expand(3, 1, 1, 3)
    x = F.conv2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), taps, groups=3)
    x = F.conv2d(x, taps.transpose(2, 3), groups=3)
    x = (x - 128) * (1 + uniform(0.05)) + 128 + uniform(5.0)
    x = x + 2 * torch.randn(x.shape, generator=generator)
    return (x + 0.5).floor().clamp(0, 255).to(torch.uint8)


def _moved(image: Tensor, down: int, right: int) -> Tensor:
    padded = F.pad(image[None], (1, 1, 1, 1), mode="replicate")[0]
    return padded[:, 1 - down : 1 - down + image.shape[1], 1 - right : 1 - right + image.shape[2]]


def trial(
    images: Tensor, extractor: Extractor, *, k: int, seed: int
) -> tuple[tuple[CopiedPair, ...], tuple[CopiedPair, ...]]:
    """Pairs of independent images and pairs of lightly changed copies, against k images drawn by the seed."""
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(seed))
    train, strangers = images[order[:k]], images[order[k : k + STRANGERS]]
    copies = lightly_changed(train.repeat(-(-50 // k), 1, 1, 1)[:50], seed)
    return tuple(memorization(fakes, train, extractor=extractor).pairs for fakes in (strangers, copies))  # type: ignore


def share(pairs: list[CopiedPair], ratio: float) -> float:
    """Share of pairs that count as copies below this ratio."""
    return sum(pair.ratio < ratio and pair.ssim > COPY_SSIM for pair in pairs) / len(pairs)


def main() -> None:
    options = _options()
    started = time.monotonic()
    extractor = load_extractor(options.extractor)
    found = {}
    for domain, (pack, include) in DOMAINS.items():
        images = load_images(options.data / pack, resolution=64, include=include, memory_limit=2**28)
        images = images.uint8(torch.randperm(len(images), generator=torch.Generator().manual_seed(1))[:1500].tolist())
        strangers: list[CopiedPair] = []
        copies: list[CopiedPair] = []
        for k in SHOTS:
            for seed in range(options.draws):
                others, ours = trial(images, extractor, k=k, seed=seed)
                strangers += others
                copies += ours
        found[domain] = {
            "accused": {str(r): share(strangers, r) for r in RATIOS},
            "found": {str(r): share(copies, r) for r in RATIOS},
            "n": [len(strangers), len(copies)],
        }
        print(domain, found[domain], flush=True)
    facts = {
        "extractor": f"{extractor.name}-{extractor.fingerprint}",
        "threshold": COPY_RATIO.get(extractor.name),
        "ssim": COPY_SSIM,
        "shots": SHOTS,
        "draws": options.draws,
        "seconds": round(time.monotonic() - started),
        "domains": found,
    }
    write_report(options.output / "memorization", facts)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder that holds the packs")
    parser.add_argument("--output", type=Path, default=Path("docs/benchmarks"))
    parser.add_argument("--extractor", default="lsg1")
    parser.add_argument("--draws", type=int, default=3, help="draws of the training images per K")
    return parser.parse_args()


def write_report(path: Path, facts: dict) -> None:
    """Write ``path`` with the endings .json and .md."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.with_suffix(".json").write_text(json.dumps(facts, indent=1) + "\n")
    lines = [
        "# Calibration of the copy threshold",
        "",
        f"`python benchmarks/memorization.py --data PATH`; extractor {facts['extractor']}, "
        f"K = {', '.join(map(str, facts['shots']))}, {facts['draws']} draws each, 64 px, {facts['seconds']} s. "
        f"A copy has a distance ratio below the threshold and an SSIM above {facts['ssim']}. "
        f"Shipped threshold: {facts['threshold']}.",
    ]
    for key, title in (("accused", "Independent images accused"), ("found", "Lightly changed copies found")):
        lines += ["", f"## {title}", "", "| domain | " + " | ".join(map(str, RATIOS)) + " |"]
        lines += ["|---" * (len(RATIOS) + 1) + "|"]
        for domain, rates in facts["domains"].items():
            lines.append(f"| {domain} | " + " | ".join(f"{100 * rates[key][str(r)]:.1f} %" for r in RATIOS) + " |")
    path.with_suffix(".md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
