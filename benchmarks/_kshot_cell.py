"""One cell of the K-shot benchmark: adapt once, measure, keep a contact sheet.

Run in a process of its own, so that the peak memory is the cell's. The reference is read after the adaptation.
"""

import io
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import _kshot_tasks as tasks
import torch
from _kshot_variants import VARIANTS, Variant
from _machine import machine_facts, peak_bytes
from PIL import Image
from torch import Tensor

import lowshotgan
from lowshotgan.data.images import image_grid, to_pil, to_uint8
from lowshotgan.metrics.extractors import Extractor, load_extractor
from lowshotgan.metrics.intra_cluster import mean_pairwise
from lowshotgan.metrics.kernel import kernel_distance
from lowshotgan.metrics.perceptual import perceptual_vectors
from lowshotgan.metrics.report import measure
from lowshotgan.systems.base import System

BASE = "base"
"""The row of the base model as it is, which is not adapted."""
SCRATCH = "fastgan"
SHEET_SEEDS = range(16)
SHEET_BYTES = 60_000
DIVERSITY_SAMPLES = 200


@dataclass(frozen=True)
class Cell:
    """What identifies a cell, and how it is run.

    Attributes:
        task: key of ``_kshot_tasks.TASKS``.
        recipe: name of a recipe or variant, or ``"base"``.
        k: number of target images.
        seed: of the training.
        subset: which K images: 0 for the fixed ones, else the seed of a draw.
        model: base weights; an architecture for training from scratch.
        budget: wall-clock limit such as ``"60s"``, or ``None``.
        steps: instead of the recipe's, or ``None``.
        samples: generated images measured.
        extractor: of the metrics.
        selector: the network by which the run chooses its snapshot.
        last: also measure the model at the end of the run.
        device: "auto" or a torch device.
    """

    task: str
    recipe: str
    k: int
    seed: int
    subset: int
    model: str
    budget: str | None = None
    steps: int | None = None
    samples: int = 1000
    extractor: str = "lsg1"
    selector: str = "lsg1"
    last: bool = False
    device: str | None = None

    @property
    def key(self) -> str:
        """Name of the cell's files."""
        return f"{self.task}.{self.recipe}.k{self.k}.subset{self.subset}.seed{self.seed}"

    @property
    def settings(self) -> dict[str, Any]:
        """What must agree between cells of one table."""
        names = ("model", "budget", "steps", "samples", "extractor", "selector")
        return {name: getattr(self, name) for name in names}


@dataclass
class _Outcome:
    """What an adaptation left behind."""

    model: Any
    last: Any
    facts: dict[str, Any]


def run_cell(cell: Cell, data: Path) -> tuple[dict[str, Any], Image.Image]:
    """Adapt and measure; returns plain JSON and the contact sheet."""
    began = time.perf_counter()
    task = tasks.TASKS[cell.task]
    base = None if task.base == "scratch" else System.from_pretrained(cell.model, local_files_only=True)
    resolution = base.config.resolution if base is not None else 64
    shots = tasks.load_shots(task, data, k=cell.k, subset=cell.subset, resolution=resolution)
    outcome = _adapt(cell, base, shots)
    outcome.facts["peak_bytes"] = peak_bytes(outcome.model.device)
    judge = _Judge(cell, task, data, shots, None if base is None else _samples(base, cell.samples))
    fake = _samples(outcome.model, cell.samples)
    chosen = judge.scores(fake)
    last = None if outcome.last is None else _samples(outcome.last, cell.samples)
    found = {
        **{name: getattr(cell, name) for name in ("task", "recipe", "k", "seed", "subset")},
        "settings": cell.settings,
        "run": outcome.facts,
        "chosen": chosen,
        "last": None if last is None else judge.scores(last),
        "train": list(shots.names),
        "reference_images": len(judge.reference),
        "protocol": judge.protocol,
        "warnings": judge.warnings,
        "machine": machine_facts(outcome.model.device),
        "lowshotgan": lowshotgan.__version__,
        "total_seconds": round(time.perf_counter() - began, 1),
    }
    rows = [judge.source, fake, last]
    return found, contact_sheet([row for row in rows if row is not None])


def contact_sheet(rows: list[Tensor]) -> Image.Image:
    """Seeds 0 to 15 in columns; the rows are the base, the chosen model and the end of the run, where they exist."""
    count = len(SHEET_SEEDS)
    return image_grid(torch.cat([row[:count] for row in rows]), columns=min(count, len(rows[0])))


def save_small(image: Image.Image, path: Path, *, limit: int = SHEET_BYTES) -> Path:
    """Write a WebP at the best quality that stays within ``limit`` bytes, or at the lowest if none does."""
    for quality in (90, 80, 70, 60, 50, 35, 20, 5):
        buffer = io.BytesIO()
        image.save(buffer, "WEBP", quality=quality, method=6)
        if buffer.tell() <= limit:
            break
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(buffer.getvalue())
    return path


class _Judge:
    """Measures samples against the reference, which is read here for the first time."""

    def __init__(self, cell: Cell, task: tasks.Task, data: Path, shots: tasks.Shots, source: Tensor | None) -> None:
        self.train, self.source = shots.pixels, source
        resolution = self.train.shape[-1]
        device = "cuda" if torch.cuda.is_available() and cell.device != "cpu" else "cpu"
        self.extractor: Extractor = load_extractor(cell.extractor, device=device)
        self.reference = tasks.load_reference(task, data, shots.names, resolution=resolution)
        self.common = None
        if (cell.task, cell.recipe, cell.subset) == (tasks.CURVE_TASK, tasks.CURVE_RECIPE, 0):
            self.common = self.extractor(tasks.load_common_reference(task, data, resolution=resolution))
        self.protocol = ""
        self.warnings: list[str] = []

    def scores(self, fake: Tensor) -> dict[str, float | None]:
        report = measure(fake, self.reference, train=self.train, source=self.source, extractor=self.extractor)
        self.protocol, self.warnings = report.protocol.id, list(report.warnings)
        found = {key: score.value for key, score in report.scores.items()}
        found["kernel_low"], found["kernel_high"] = report["kernel"].low, report["kernel"].high
        found["diversity_ratio"] = self._diversity(fake)
        if self.common is not None:
            found["kernel_common"] = kernel_distance(self.common, self.extractor(fake)).value
        return {key: None if value is None or value != value else value for key, value in found.items()}

    def _diversity(self, fake: Tensor) -> float | None:
        """Mean distance between samples over that between the base's samples of the same latents."""
        if self.source is None or not self.extractor.has_maps:
            return None
        pair = (perceptual_vectors(self.extractor.maps, x[:DIVERSITY_SAMPLES]) for x in (fake, self.source))
        ours, base = (mean_pairwise(vectors) for vectors in pair)
        return ours / base


def _adapt(cell: Cell, base: Any, shots: tasks.Shots) -> _Outcome:
    if cell.recipe == BASE:
        return _Outcome(base, None, {})
    images = to_pil(shots.pixels)
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        variant = VARIANTS.get(cell.recipe, Variant(cell.recipe, ""))
        if base is None:
            return _train_from_scratch(cell, images, Path(folder))
        result = lowshotgan.finetune(
            base,
            images,
            output_dir=Path(folder) / "run",
            recipe=variant.recipe,
            seed=cell.seed,
            extractor=cell.selector,
            progress=False,
            **_limits(cell),
            **variant.changes,
        )
        facts = {
            "seconds": result.seconds,
            "wall_seconds": time.perf_counter() - began,
            "steps": result.steps,
            "recipe_steps": result.recipe.steps,
            "stopped": result.stopped,
            "proximity": result.proximity,
            "recipe": result.recipe.to_dict(),
            "chosen_step": result.snapshots[0].step if result.snapshots else result.steps,
            "history": [dict(line) for line in result.history],
            "delta_bytes": _delta_bytes(result.model, Path(folder)),
        }
    return _Outcome(result.model, result.last if cell.last else None, facts)


def _train_from_scratch(cell: Cell, images: list[Image.Image], folder: Path) -> _Outcome:
    model = lowshotgan.create_model(cell.model)
    result = lowshotgan.train(
        model, images, output_dir=folder / "run", seed=cell.seed, progress=False, **_limits(cell)
    )
    facts = {"seconds": result.fit.seconds, "steps": result.fit.steps, "stopped": result.fit.stopped}
    return _Outcome(result.model, None, facts)


def _limits(cell: Cell) -> dict[str, Any]:
    limits = {"budget": cell.budget, "steps": cell.steps, "device": cell.device}
    return {name: value for name, value in limits.items() if value is not None}


def _delta_bytes(model: Any, folder: Path) -> int:
    path = folder / "delta.safetensors"
    model.save_delta(path)
    return path.stat().st_size


def _samples(model: Any, count: int) -> Tensor:
    """``(count, 3, R, R)`` uint8 images of seeds 0 to count - 1, untruncated, with the stored noise."""
    return to_uint8(model.generate(seeds=range(count), batch_size=50).tensor)


def to_plain(cell: Cell) -> dict[str, Any]:
    """The cell as JSON."""
    return asdict(cell)
