"""Do the offline scores see what they must see? Degrade real images step by step and look at the order.

    python benchmarks/degradation.py --data fruits_64.zip --output docs/benchmarks

Time: about 5 minutes on one CPU core. Expected: kernel and Frechet distance (lsg1) rise at every step of
    every series.

A pack is split at random into a reference half and a pool. The pool's images, blurred, noisy, recoloured or
with whole folders missing, are scored against the reference; step 0 is the untouched pool, whose distance
should be near 0.
"""

import argparse
import json
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw
from torch import Tensor

from lowshotgan.data.dataset import load_images
from lowshotgan.data.images import to_pil
from lowshotgan.metrics.extractors import Extractor, load_extractor
from lowshotgan.metrics.frechet import frechet_distance
from lowshotgan.metrics.kernel import kernel_distance

DROPPED = (0.0, 0.2, 0.4, 0.6, 0.7)


def blur(images: Tensor, sigma: float, seed: int) -> Tensor:
    """Gaussian blur of uint8 ``(N, 3, H, W)``; sigma in pixels."""
    if sigma == 0:
        return images
    radius = int(4 * sigma + 1)
    taps = torch.exp(-(torch.arange(-radius, radius + 1).float() ** 2) / (2 * sigma**2))
    taps = (taps / taps.sum()).expand(3, 1, 1, -1)
    x = F.pad(images.float(), (radius,) * 4, mode="replicate")
    return _levels(F.conv2d(F.conv2d(x, taps, groups=3), taps.transpose(2, 3), groups=3))


def noise(images: Tensor, sigma: float, seed: int) -> Tensor:
    """Gaussian noise; sigma in levels of 0 to 255."""
    generator = torch.Generator().manual_seed(seed)
    return _levels(images.float() + sigma * torch.randn(images.shape, generator=generator))


def colour_shift(images: Tensor, amount: float, seed: int) -> Tensor:
    """Red up and blue down by ``amount`` levels."""
    return _levels(images.float() + amount * torch.tensor([1.0, 0.0, -1.0]).view(3, 1, 1))


SERIES: dict[str, tuple[Callable[[Tensor, float, int], Tensor], Sequence[float], str]] = {
    "blur": (blur, (0.0, 0.5, 1.0, 1.5, 2.0, 3.0), "sigma in px"),
    "noise": (noise, (0.0, 8.0, 16.0, 32.0, 64.0), "sigma in levels"),
    "colour shift": (colour_shift, (0.0, 8.0, 16.0, 32.0, 64.0), "levels"),
}


def measure_series(
    pool: Tensor, reference: Tensor, extractor: Extractor, *, seed: int = 0
) -> dict[str, list[dict[str, float]]]:
    """Scores of every step of every pixel series: ``{series: [{"strength", "kernel", "low", "high",
    "frechet"}]}``.
    """
    real = extractor(reference)
    return {
        name: [_score(real, extractor(change(pool, s, seed)), s, seed) for s in strengths]
        for name, (change, strengths, _) in SERIES.items()
    }


def measure_dropping(
    pool: Tensor, groups: Sequence[str], reference: Tensor, extractor: Extractor, *, seed: int = 0
) -> list[dict[str, float]]:
    """Scores of pools that lack a growing share of the groups, all of the same size.

    Args:
        pool: ``(N, 3, H, W)`` uint8.
        groups: the group (folder) of each image of the pool.
        reference: ``(M, 3, H, W)`` uint8.
        extractor: gives the embeddings.
        seed: of the order in which groups are dropped, and of the draws.
    """
    generator = torch.Generator().manual_seed(seed)
    names = sorted(set(groups))
    order = [names[i] for i in torch.randperm(len(names), generator=generator).tolist()]
    kept = [set(order[round(share * len(order)) :]) for share in DROPPED]
    rows = [torch.tensor([i for i, group in enumerate(groups) if group in some]) for some in kept]
    size = min(len(some) for some in rows)
    drawn = [some[torch.randperm(len(some), generator=generator)[:size]] for some in rows]
    real, features = extractor(reference), extractor(pool)
    return [_score(real, features[some], share, seed) for share, some in zip(DROPPED, drawn, strict=True)]


def is_rising(steps: Sequence[dict[str, float]], key: str) -> bool:
    """Whether a score rises at every step."""
    values = [step[key] for step in steps]
    return all(a < b for a, b in pairwise(values))


def _score(real: Tensor, fake: Tensor, strength: float, seed: int) -> dict[str, float]:
    kernel, frechet = kernel_distance(real, fake, seed=seed), frechet_distance(real, fake)
    return {
        "strength": strength,
        "kernel": kernel.value,
        "low": kernel.low,
        "high": kernel.high,
        "frechet": frechet.value,
        "frechet_reliable": float(frechet.reliable),
    }


def _levels(images: Tensor) -> Tensor:
    return (images + 0.5).floor().clamp(0, 255).to(torch.uint8)


# ---- report
# ---------------------------------------------------------------------------------------------------


def main() -> None:
    options = _options()
    started = time.monotonic()
    extractor = load_extractor(options.extractor)
    images = load_images(options.data, resolution=64)
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(options.seed)).tolist()
    half = len(order) // 2
    reference, rest = order[:half][: options.count], order[half:]
    real, pool = images.uint8(reference), images.uint8(rest)
    found = measure_series(pool[: options.count], real, extractor, seed=options.seed)
    groups = [Path(images.names[i]).parent.name for i in rest]
    if len(set(groups)) > 1:
        found["folders dropped"] = measure_dropping(pool, groups, real, extractor, seed=options.seed)
    facts = {
        "pack": Path(options.data).name,
        "extractor": f"{extractor.name}-{extractor.fingerprint}",
        "n_real": len(reference),
        "n_fake": min(options.count, len(rest)),
        "seed": options.seed,
        "seconds": round(time.monotonic() - started),
    }
    write_report(options.output / f"degradation_{Path(options.data).stem}", facts, found, pool[:1], options.seed)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="a folder or zip of images in folders")
    parser.add_argument("--output", type=Path, default=Path("docs/benchmarks"))
    parser.add_argument("--extractor", default="lsg1")
    parser.add_argument("--count", type=int, default=1000, help="images of each set")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def write_report(path: Path, facts: dict[str, Any], found: dict[str, Any], example: Tensor, seed: int) -> None:
    """Write ``path`` with the endings .json, .md and .png."""
    path.parent.mkdir(parents=True, exist_ok=True)
    name = facts["extractor"].rpartition("-")[0]
    path.with_suffix(".json").write_text(json.dumps({**facts, "series": found}, indent=1) + "\n")
    picture(found, example, name, seed).save(path.with_suffix(".png"), optimize=True)
    lines = [
        f"# Degradation series on `{facts['pack']}`",
        "",
        f"`python benchmarks/degradation.py --data {facts['pack']}`; extractor {facts['extractor']}, "
        f"{facts['n_real']} reference and {facts['n_fake']} pool images of 64 px, seed {seed}, {facts['seconds']} s.",
        "",
        f"![one image at every step]({path.name}.png)",
    ]
    for series, steps in found.items():
        lines += ["", f"## {series}", "", f"| strength | KD-{name} (95 % interval) | FD-{name} |", "|---|---|---|"]
        lines += [_row(step) for step in steps]
        verdict = {
            key: "rises at every step" if is_rising(steps, key) else "does NOT rise at every step"
            for key in ("kernel", "frechet")
        }
        lines += ["", f"KD {verdict['kernel']}; FD {verdict['frechet']}."]
    path.with_suffix(".md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


def _row(step: dict[str, float]) -> str:
    frechet = f"{step['frechet']:.3f}" if step["frechet_reliable"] else f"[{step['frechet']:.3f}]"
    return f"| {step['strength']:g} | {step['kernel']:.4f} ({step['low']:.4f} to {step['high']:.4f}) | {frechet} |"


def picture(found: dict[str, Any], example: Tensor, name: str, seed: int) -> Image.Image:
    """One row per pixel series: an example image at each step with the kernel distance below it."""
    rows = [series for series in found if series in SERIES]
    columns = max(len(found[series]) for series in rows)
    sheet = Image.new("RGB", (100 + columns * 100, len(rows) * 124), "white")
    draw = ImageDraw.Draw(sheet)
    for top, series in enumerate(rows):
        draw.text((4, top * 124 + 40), f"{series}\n({SERIES[series][2]})\nKD-{name}", fill="black")
        for left, step in enumerate(found[series]):
            tile = to_pil(SERIES[series][0](example, step["strength"], seed))[0].resize((96, 96))
            sheet.paste(tile, (100 + left * 100, top * 124 + 4))
            label = f"{step['strength']:g}: {step['kernel']:.4f}"
            draw.text((104 + left * 100, top * 124 + 104), label, fill="black")
    return sheet


if __name__ == "__main__":
    main()
