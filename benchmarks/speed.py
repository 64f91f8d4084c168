"""How fast is the library, and compared with what? Everything in one run, as ratios where that is possible.

    python benchmarks/speed.py --output docs/benchmarks

Time: about five minutes on two CPU cores. Expected: the training step at least 2.5 times as fast as the plain one,
less than 10 % of it outside the networks, ``import lowshotgan`` below 20 ms.

The plain implementation (``_plain_stylegan2.py``) does the same step with the same networks. Both take turns, and
medians are compared, because other work on a machine slows single steps down. Runs on the CPU.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from _machine import MIB, describe, machine_facts, peak_bytes
from _plain_stylegan2 import PlainGenerator, PlainTrainer
from torch import Tensor

from lowshotgan.data.dataset import ImageSet, load_images
from lowshotgan.data.images import from_uint8
from lowshotgan.data.synthetic import faces
from lowshotgan.errors import WeightsNotFoundError
from lowshotgan.systems.base import System
from lowshotgan.systems.registry import ARCHS
from lowshotgan.train.log import JsonLog, Previews
from lowshotgan.train.loop import LoopSettings, Moment, fit
from lowshotgan.train.machine import Machine
from lowshotgan.train.precision import choose_precision
from lowshotgan.train.source import build_system

ROOT = Path(__file__).resolve().parents[1]
WEIGHTS = {"stylegan2_64": "stylegan2_64.avatars_v1"}
R1_EVERY = 16
STEP_TARGET, OUTSIDE_TARGET, IMPORT_TARGET_MS = 2.5, 0.10, 20.0
COLD_START = """
import sys, time
parts = {"start Python": time.time() - float(sys.argv[1])}
def lap(name, began):
    parts[name] = time.perf_counter() - began
began = time.perf_counter(); import torch; lap("import torch", began)
began = time.perf_counter(); from lowshotgan.api import load; lap("import the rest", began)
began = time.perf_counter(); model = load(sys.argv[2]); lap("load the weights", began)
began = time.perf_counter(); image = model.generate(1).images[0]; lap("first image", began)
import json
print(json.dumps({"parts": parts, "total": time.time() - float(sys.argv[1])}))
"""
IMPORT_TIME = """
import time
began = time.perf_counter()
import lowshotgan
print(1000 * (time.perf_counter() - began))
"""


@dataclass(frozen=True)
class Turn:
    """Seconds of the steps of one turn, the last of which includes the gradient penalty.

    Attributes:
        wall: by the clock.
        cpu: of all threads; other work on the machine hardly changes it.
    """

    wall: Sequence[float]
    cpu: Sequence[float]


class StepClock:
    """Notes when each step was done; also a hook of the training loop."""

    def __init__(self) -> None:
        self.at: list[tuple[float, float]] = []

    def __call__(self, moment: Moment | None = None) -> None:
        self.at.append((time.perf_counter(), time.process_time()))

    def turn(self) -> Turn:
        """What passed between one note and the next."""
        wall, cpu = zip(*self.at, strict=True)
        return Turn([b - a for a, b in pairwise(wall)], [b - a for a, b in pairwise(cpu)])


def amortised(turns: Sequence[Sequence[float]]) -> float:
    """What one step costs in the long run: the median step plus the penalty's share."""
    step = statistics.median(seconds for turn in turns for seconds in turn[:-1])
    return step + (statistics.median(turn[-1] for turn in turns) - step) / R1_EVERY


def main(arguments: Sequence[str] | None = None) -> None:
    options = _options(arguments)
    if options.peak_of:
        print(peak_of(options.peak_of, options.arch, options.batch))
        return
    found = {
        "machine": machine_facts(),
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "arch": options.arch,
        "batch": options.batch,
        "repeats": options.repeats,
        "precision": str(choose_precision("auto", torch.device("cpu"))).removeprefix("torch."),
        "step": compare_steps(options.arch, options.batch, options.repeats, max(options.steps, 2)),
        "outside": share_outside(options.arch, options.batch, options.loop_steps),
        "generate": {str(batch): generate_rates(options.arch, batch, options.repeats) for batch in (1, 32)},
        "peak_bytes": {name: _peak(name, options) for name in ("nothing", "library", "plain")},
        "import_ms": import_ms(options.repeats),
        "cold_start": cold_start(options.arch, options.repeats),
    }
    options.output.mkdir(parents=True, exist_ok=True)
    given = list(sys.argv[1:] if arguments is None else arguments)
    if "--output" in given:
        given[given.index("--output") + 1] = "PATH"
    command = " ".join(["python benchmarks/speed.py", *given])
    (options.output / "speed.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    (options.output / "speed.md").write_text(report(found, command), encoding="utf-8")
    print(report(found, command))


# ---- training step --------------------------------------------------------------------------------------------


def compare_steps(arch: str, batch: int, repeats: int, steps: int) -> dict[str, Any]:
    """Seconds per step of both implementations; they take turns of ``steps`` steps with one penalty each."""
    images = drawn_images(arch, batch)
    real, plain_model = from_uint8(images.uint8()), plain_trainer(arch)
    turns: dict[str, list[Turn]] = {"library": [], "plain": []}
    for _ in range(repeats):
        turns["library"].append(library_turn(arch, batch, images, steps))
        turns["plain"].append(plain_turn(plain_model, real, steps))
    return {"wall": _compared(turns, "wall"), "cpu": _compared(turns, "cpu")}


def _compared(turns: Mapping[str, Sequence[Turn]], kind: str) -> dict[str, float]:
    ours, plain = ([list(getattr(turn, kind)) for turn in turns[name]] for name in ("library", "plain"))
    ratios = [sum(theirs) / sum(mine) for theirs, mine in zip(plain, ours, strict=True)]
    seconds = {"library": amortised(ours), "plain": amortised(plain)}
    ratio = seconds["plain"] / seconds["library"]
    return {**seconds, "ratio": ratio, "lowest_turn": min(ratios), "highest_turn": max(ratios)}


def library_turn(arch: str, batch: int, images: ImageSet, steps: int) -> Turn:
    """``steps`` steps of the training loop, after a first one that is not counted."""
    clock = StepClock()
    _fit(arch, batch, images, steps=steps + 1, hooks=[clock], every=steps)
    return clock.turn()


def plain_turn(trainer: PlainTrainer, real: Tensor, steps: int) -> Turn:
    """The same of the plain implementation."""
    trainer.step_index, trainer.r1_every = 1, steps
    clock = StepClock()
    clock()
    for _ in range(steps):
        trainer.step(real)
        clock()
    return clock.turn()


def plain_trainer(arch: str) -> PlainTrainer:
    torch.manual_seed(0)
    return PlainTrainer(dict(ARCHS[arch][1]), lr=2e-3, r1_gamma=1.0, r1_every=R1_EVERY, mixing=0.9, half_life=600.0)


def share_outside(arch: str, batch: int, steps: int) -> float:
    """Share of a training's time that is not spent in networks and optimisers, log and previews on."""
    with tempfile.TemporaryDirectory() as folder:
        hooks = [JsonLog(Path(folder)), Previews(Path(folder))]
        return _fit(arch, batch, drawn_images(arch, 64), steps=steps, hooks=hooks, every=R1_EVERY)


def _fit(arch: str, batch: int, images: ImageSet, *, steps: int, hooks: Sequence[Any], every: int) -> float:
    system: Any = build_system(arch, {})
    training = system.Training(
        steps=steps, batch_size=batch, r1_gamma=1.0, r1_every=every, path_weight=0.0, mixing=0.9, flip=False
    )
    with tempfile.TemporaryDirectory() as folder:
        result = fit(
            system.stages(images, training),
            output_dir=Path(folder),
            machine=Machine("cpu"),
            settings=LoopSettings(),
            hooks=hooks,
        )
    return result.share_outside


def drawn_images(arch: str, count: int) -> ImageSet:
    side = ARCHS[arch][1]["resolution"]
    return load_images(faces(count, resolution=side), resolution=side)


# ---- generation, memory, start --------------------------------------------------------------------------------


@torch.no_grad()
def generate_rates(arch: str, batch: int, repeats: int) -> dict[str, float]:
    """Images per second of ``generate()`` and of the plain generator's bare forward pass; medians of turns."""
    system: Any = build_system(arch, {}).eval()
    plain = PlainGenerator(**ARCHS[arch][1])
    plain.load_state_dict(system.generator.state_dict())
    count = max(2 * batch, 16)

    def ours() -> None:
        system.generate(count, batch_size=batch)

    def theirs() -> None:
        for part in torch.randn(count, plain.z_dim).split(batch):
            plain(part)

    ours(), theirs()
    seconds = [(_seconds(ours), _seconds(theirs)) for _ in range(repeats)]
    library, other = (statistics.median(column) for column in zip(*seconds, strict=True))
    return {"library": count / library, "plain": count / other, "ratio": other / library}


def _peak(name: str, options: argparse.Namespace) -> int:
    command = [sys.executable, str(Path(__file__).resolve()), "--peak-of", name]
    command += ["--arch", options.arch, "--batch", str(options.batch), "--output", str(options.output)]
    return int(_output(command).split()[-1])


def peak_of(name: str, arch: str, batch: int) -> int:
    """Peak memory in bytes of this process after two steps, or after the imports alone; run in a fresh process."""
    images = drawn_images(arch, batch)
    if name == "library":
        _fit(arch, batch, images, steps=3, hooks=[], every=2)
    elif name == "plain":
        plain_turn(plain_trainer(arch), from_uint8(images.uint8()), 2)
    return peak_bytes()


def import_ms(repeats: int) -> float:
    """Median milliseconds of ``import lowshotgan`` in a fresh interpreter."""
    return statistics.median(float(_output([sys.executable, "-c", IMPORT_TIME])) for _ in range(max(repeats, 5)))


def cold_start(arch: str, repeats: int) -> dict[str, Any]:
    """Seconds from starting Python to the first image, in parts; the median run by total, files in the cache."""
    with tempfile.TemporaryDirectory() as folder:
        name = _weights(arch, Path(folder))
        runs = []
        for _ in range(repeats):
            command = [sys.executable, "-c", COLD_START, str(time.time()), name]
            runs.append(json.loads(_output(command).splitlines()[-1]))
    runs.sort(key=lambda run: run["total"])
    return {"weights": name if name in WEIGHTS.values() else "random", **runs[len(runs) // 2]}


def _weights(arch: str, folder: Path) -> str:
    """The published weights if they are on this machine, else random ones of the same size in ``folder``."""
    name = WEIGHTS.get(arch)
    if name is not None:
        try:
            System.from_pretrained(name, local_files_only=True)
            return name
        except WeightsNotFoundError:
            pass
    build_system(arch, {}).save_pretrained(folder)
    return str(folder)


def _output(command: Sequence[str]) -> str:
    env = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=env).stdout


def _seconds(work: Callable[[], None]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


# ---- report ---------------------------------------------------------------------------------------------------


def report(found: Mapping[str, Any], command: str) -> str:
    step, rates, peaks, cold = (found[name] for name in ("step", "generate", "peak_bytes", "cold_start"))
    wall, cpu = step["wall"], step["cpu"]
    rows = [
        f"| training step, times as fast as plain | {wall['ratio']:.2f} (turns {wall['lowest_turn']:.2f} to "
        f"{wall['highest_turn']:.2f}) | at least {STEP_TARGET}: {_verdict(wall['ratio'] >= STEP_TARGET)} |",
        f"| ... in processor time of all threads | {cpu['ratio']:.2f} (turns {cpu['lowest_turn']:.2f} to "
        f"{cpu['highest_turn']:.2f}) | |",
        f"| seconds per step, library and plain | {wall['library']:.3f}, {wall['plain']:.3f} (processor time "
        f"{cpu['library']:.3f}, {cpu['plain']:.3f}) | |",
        f"| share of a training outside the networks | {found['outside']:.1%} | "
        f"below {OUTSIDE_TARGET:.0%}: {_verdict(found['outside'] < OUTSIDE_TARGET)} |",
    ]
    for batch, rate in rates.items():
        rows.append(
            f"| generate(), images per second, batch {batch} | {rate['library']:.1f} ({rate['ratio']:.2f} times the "
            "plain forward pass) | |"
        )
    base = peaks["nothing"]
    rows += [
        f"| peak memory of training, library and plain | {peaks['library'] / MIB:.0f}, {peaks['plain'] / MIB:.0f} MiB "
        f"({base / MIB:.0f} MiB before the first step) | |",
        f"| `import lowshotgan` | {found['import_ms']:.1f} ms | "
        f"below {IMPORT_TARGET_MS:.0f} ms: {_verdict(found['import_ms'] < IMPORT_TARGET_MS)} |",
        f"| cold start to the first image | {cold['total']:.2f} s | |",
    ]
    rows += [f"| ... {name} | {seconds:.2f} s | |" for name, seconds in cold["parts"].items()]
    load = "" if found["load"] is None else f" Other load at the start: {found['load']:.1f} processes."
    intro = [
        "# Speed",
        "",
        f"`{command}`. {found['arch']}, batch {found['batch']}, {found['precision']}, {found['repeats']} turns. "
        f"{describe(found['machine'])}.{load}",
        "",
        f"A step is discriminator, generator and average, with the gradient penalty of every {R1_EVERY}th step "
        "shared out. The plain implementation does the same step with one kernel per sample in a grouped convolution, "
        "filters by zero insertion and separate operations, in float32 and contiguous NCHW.",
        "",
        "| what | found | target |",
        "|---|---|---|",
    ]
    return "\n".join([*intro, *rows]) + "\n"


def _verdict(good: bool) -> str:
    return "met" if good else "missed"


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "benchmarks")
    parser.add_argument("--arch", default="stylegan2_64", choices=[n for n in ARCHS if n.startswith("stylegan2")])
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=5, help="turns of each implementation")
    parser.add_argument("--steps", type=int, default=8, help="steps in a turn, one of them with the penalty")
    parser.add_argument("--loop-steps", type=int, default=100, help="steps behind the share outside the networks")
    parser.add_argument("--peak-of", choices=("nothing", "library", "plain"), help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
