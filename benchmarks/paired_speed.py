"""Time a source step of LaDo against the same step written down plainly, in one process, taking turns.

    python benchmarks/paired_speed.py --threads 1 --json docs/benchmarks/paired_speed.json

Time: minutes on a CPU. Processor time is compared, so other work on the machine matters little; the fastest of
``--repeats`` counts. Both have the networks of the paper at 64 pixels unless told otherwise.
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from _machine import describe, machine_facts
from _plain_lado import PlainLaDo

from lowshotgan.api import create_model
from lowshotgan.data.images import to_pil
from lowshotgan.data.synthetic import faces
from lowshotgan.draws import Draws
from lowshotgan.systems.lado.config import LaDoTraining
from lowshotgan.train.machine import Machine
from lowshotgan.train.phases import only_trainable, weighted_loss
from lowshotgan.types import Batch


def main(arguments: list[str] | None = None) -> dict[str, Any]:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--resolution", type=int, default=64)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path, help="where to write the result")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    images = faces(options.batch_size, resolution=options.resolution)
    steps = {"plain": plain_step(images, options), "lowshotgan": library_step(images, options)}
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(options.repeats + 1):
        for name, step in steps.items():
            began = time.process_time()
            step()
            seconds[name].append(time.process_time() - began)
    fastest = {name: min(values[1:]) for name, values in seconds.items()}  # the first call also warms up
    sizes = {name: getattr(options, name) for name in ("resolution", "width", "batch_size", "threads")}
    ratio = fastest["plain"] / fastest["lowshotgan"]
    result = {"seconds": fastest, "ratio": round(ratio, 2), **sizes, "machine": describe(machine_facts())}
    print(json.dumps(result, indent=1))
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n")
    return result


def plain_step(images: torch.Tensor, options: argparse.Namespace) -> Callable[[], None]:
    model = PlainLaDo(options.resolution, options.width)
    batch = images.float() / 127.5 - 1
    return lambda: model.step(batch)


def library_step(images: torch.Tensor, options: argparse.Namespace) -> Callable[[], None]:
    """What the training loop does in a step, without its log and checks."""
    model = create_model("lado_64", resolution=options.resolution, width=options.width)
    training = LaDoTraining(steps=10, batch_size=options.batch_size)
    stage = next(iter(model.stages(model.read_data(to_pil(images)), training)))
    machine, draws = Machine("cpu"), Draws(0)
    optimizers = {
        name: torch.optim.Adam(group.params, lr=group.lr, betas=group.betas) for name, group in stage.groups.items()
    }
    for network in stage.modules.values():
        network.to(memory_format=machine.image_format)

    def step() -> None:
        batch = Batch(machine.laid_out(next(stage.batches)), draws, 0, 0.0)
        for phase in stage.phases:
            with only_trainable(stage, phase.updates):
                optimizers[phase.updates].zero_grad()
                loss, _ = weighted_loss(phase, phase.terms(batch), 0.0)
                loss.backward()
                optimizers[phase.updates].step()

    return step


if __name__ == "__main__":
    main()
