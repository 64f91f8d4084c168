"""Tiny trainings for the tests of the loop: in this process, as a script, and killed again and again.

``python tiny_run.py all FOLDER`` trains several systems; ``python tiny_run.py kill FOLDER --kills 5`` kills one.
"""

import argparse
import os
import random
import signal
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lowshotgan.train.checkpoint import read_checkpoint
from lowshotgan.train.log import JsonLog
from lowshotgan.train.loop import FitResult, LoopSettings, fit
from lowshotgan.train.machine import Machine
from lowshotgan.types import Batch, ParamGroup, Phase, Stage


class Numbers:
    """Endless batches ``(batch, 4)`` that depend on the position alone; each process takes its strided share."""

    def __init__(self, batch: int = 8, *, rank: int = 0, world_size: int = 1) -> None:
        self.batch, self.rank, self.world_size, self.position = batch, rank, world_size, 0

    def __next__(self) -> Tensor:
        self.position += 1
        whole = torch.randn(self.batch, 4, generator=torch.Generator().manual_seed(self.position))
        return whole[self.rank :: self.world_size]

    def state_dict(self) -> dict[str, Any]:
        return {"position": self.position}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.position = state["position"]


class Count:
    """A controller: a number that each step changes and that scales a loss term."""

    def __init__(self) -> None:
        self.value = 0.0

    def on_step(self, step: int, log: dict[str, float]) -> None:
        self.value += 0.125
        log["count"] = self.value

    def state_dict(self) -> dict[str, Any]:
        return {"value": self.value}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.value = state["value"]


class Toy:
    """A generator and a discriminator of a few weights, with everything a stage can have."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.generator = nn.Sequential(nn.Linear(3, 6), nn.LeakyReLU(0.2), nn.Linear(6, 4))
        self.discriminator = nn.Sequential(nn.Linear(4, 6), nn.LeakyReLU(0.2), nn.Linear(6, 1))
        self.averaged = nn.Sequential(nn.Linear(3, 6), nn.LeakyReLU(0.2), nn.Linear(6, 4))
        self.averaged.load_state_dict(self.generator.state_dict())
        self.count = Count()

    def stage(self, steps: int, *, name: str = "toy", batches: Numbers | None = None, **options: Any) -> Stage:
        phases = [
            Phase("d", "discriminator", self.discriminator_terms, {"adversarial": 1.0, "size": 0.1}),
            Phase("d_penalty", "discriminator", self.penalty_terms, {"penalty": 0.5}, every=4, fp32=True),
            Phase("g", "generator", self.generator_terms, {"adversarial": lambda progress: 1.0}),
        ]
        return Stage(
            name=name,
            steps=steps,
            batches=batches or Numbers(),
            groups={
                "generator": ParamGroup([*self.generator.parameters()], lr=0.01),
                "discriminator": ParamGroup([*self.discriminator.parameters()], lr=0.01, lazy_every=4),
            },
            phases=options.pop("phases", phases),
            modules={"generator": self.generator, "discriminator": self.discriminator},
            averages={"generator": (self.generator, self.averaged)},
            ema_half_life=5.0,
            state={"count": self.count},
            on_step=[self.count.on_step, *options.pop("on_step", [])],
            **options,
        )

    def fake(self, batch: Batch) -> Tensor:
        return self.generator(batch.draws.normal(len(batch.images), 3))

    def discriminator_terms(self, batch: Batch) -> Mapping[str, Tensor]:
        real, fake = self.discriminator(batch.images), self.discriminator(self.fake(batch))
        size = sum(p.square().sum() for p in self.discriminator.parameters())
        return {
            "adversarial": nn.functional.softplus(fake - real)[:, 0],
            "size": size * self.count.value,
            "seen": real[:, 0],
        }

    def penalty_terms(self, batch: Batch) -> Mapping[str, Tensor]:
        images = batch.images.clone().requires_grad_(True)
        (gradient,) = torch.autograd.grad(self.discriminator(images).sum(), images, create_graph=True)
        return {"penalty": gradient.square().sum(1)}

    def generator_terms(self, batch: Batch) -> Mapping[str, Tensor]:
        return {"adversarial": nn.functional.softplus(-self.discriminator(self.fake(batch)))[:, 0]}


def run(
    folder: Path, steps: int, *, machine: Machine | None = None, toy: Toy | None = None, **options: Any
) -> FitResult:
    """Train a toy and leave its checkpoints in ``folder``."""
    machine = machine or Machine("cpu")
    toy = toy or Toy()
    hooks, begin = options.pop("hooks", ()), options.pop("begin", None)
    on_step: list[Callable[[int, dict[str, float]], None]] = options.pop("on_step", [])
    batches = Numbers(rank=machine.rank, world_size=machine.world_size)
    settings = LoopSettings(precision="fp32", **options)
    stage = toy.stage(steps, batches=batches, on_step=on_step)
    return fit([stage], output_dir=folder, machine=machine, settings=settings, hooks=hooks, begin=begin)


Train = Callable[..., object]
"""Trains in a folder for so many steps; takes ``checkpoint_steps`` and ``on_step``, as ``run`` does."""


def kill_and_resume(folder: Path, *, steps: int, kills: int, seed: int, train: Train = run) -> None:
    """Train in forked processes that are killed at random moments; every checkpoint must stay readable.

    ``folder/whole`` holds the uninterrupted run, ``folder/killed`` the other.
    """
    train(folder / "whole", steps)  # also imports everything before the forks
    folder = folder / "killed"
    chance = random.Random(seed)
    done = 0
    while True:
        heard, told = os.pipe()
        child = os.fork()
        if child == 0:
            _train_and_exit(train, folder, steps, told)
        os.close(told)
        assert os.read(heard, 1), "the child ended before its first step"
        if done < kills:
            time.sleep(chance.uniform(0.0, 0.02))
            os.kill(child, signal.SIGKILL)
        status = os.waitpid(child, 0)[1]
        os.close(heard)
        for path in (folder / "checkpoints").glob("*.pt"):
            read_checkpoint(path)
        if done >= kills:
            assert os.waitstatus_to_exitcode(status) == 0, "the last process failed"
            return
        assert os.waitstatus_to_exitcode(status) == -signal.SIGKILL, "the training ended before it was killed"
        done += 1


def _train_and_exit(train: Train, folder: Path, steps: int, told: int) -> None:
    code = 1
    try:
        train(folder, steps, checkpoint_steps=1, on_step=[lambda step, log: _tell(told)])
        code = 0
    finally:
        os._exit(code)


def _tell(pipe: int) -> None:
    os.write(pipe, b".")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["all", "kill", "kill-fine-tuning"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.what == "all":
        run(arguments.folder / "toy", arguments.steps)
        train_stylegan2(arguments.folder / "stylegan2", arguments.steps)
        for name in RECIPES:
            fine_tune(arguments.folder / name, arguments.steps, name)
    else:
        train = run if arguments.what == "kill" else fine_tune_with_everything
        kill_and_resume(
            arguments.folder, steps=arguments.steps, kills=arguments.kills, seed=arguments.seed, train=train
        )


class Pictures:
    """Eight drawn 8-pixel images, as an ``ImageSet`` gives them."""

    def __init__(self) -> None:
        self.pixels = torch.randint(0, 256, (8, 3, 8, 8), generator=torch.Generator().manual_seed(0)).byte()

    def __len__(self) -> int:
        return 8

    def uint8(self, indices: list[int]) -> Tensor:
        return self.pixels[indices]


def train_stylegan2(folder: Path, steps: int) -> None:
    """Train an 8-pixel StyleGAN2 with all its penalties, in as many processes as there are."""
    from lowshotgan.systems.stylegan2.config import SourceTraining, StyleGAN2Config
    from lowshotgan.systems.stylegan2.system import StyleGAN2

    torch.manual_seed(0)
    sizes = {"z_dim": 8, "w_dim": 8, "mapping_layers": 2, "channel_base": 64, "channel_max": 8}
    system = StyleGAN2(StyleGAN2Config(resolution=8, **sizes), arch="stylegan2_8")
    machine = Machine("cpu")
    training = SourceTraining(steps=steps, batch_size=16, r1_every=2)
    ranks = {"rank": machine.rank, "world_size": machine.world_size}
    stages = system.stages(Pictures(), training, **ranks)
    fit(stages, output_dir=folder, machine=machine, settings=LoopSettings(precision="fp32"))


RECIPES = ("cdc", "auto", "rick")
"""Fine-tunings of a batch of four, of which two processes have two images each."""


def fine_tune_with_everything(folder: Path, steps: int, **options: Any) -> None:
    """Fine-tune by ``auto`` with quickly adapting augmentation, and snapshots chosen every second step."""
    fine_tune(folder, steps, "auto", changes={"augment": "ada(target=-1, speed=0.02)"}, score_every=2, **options)


def fine_tune(
    folder: Path,
    steps: int,
    recipe: str,
    *,
    changes: Mapping[str, Any] | None = None,
    score_every: int | None = None,
    on_step: list[Callable[[int, dict[str, float]], None]] | None = None,
    **options: Any,
) -> None:
    """Fine-tune an 8-pixel StyleGAN2 by a recipe, in as many processes as there are."""
    from lowshotgan.data.batches import ImageBatches
    from lowshotgan.finetune.engine import build_stage
    from lowshotgan.finetune.recipe import fit_to
    from lowshotgan.finetune.recipes import get_recipe
    from lowshotgan.finetune.selector import Scores, Selector
    from lowshotgan.nets.stylegan2 import Discriminator, Generator

    torch.manual_seed(0)
    generator = Generator(8, z_dim=8, w_dim=8, mapping_layers=2, channel_base=64, channel_max=8)
    discriminator = Discriminator(8, channel_base=64, channel_max=8)
    machine = Machine("cpu")
    ranks = {"rank": machine.rank, "world_size": machine.world_size}
    masks = {"trainable.every": 2, "trainable.samples": 8} if recipe == "rick" else {}
    shorter = get_recipe(recipe, k=8).override(steps=steps, warm_up=1, r1_every=2, **masks, **(changes or {}))
    fitted = fit_to(shorter, k=8, world_size=machine.world_size)
    stage, _, average = build_stage(generator, discriminator, ImageBatches(Pictures(), fitted.batch, **ranks), fitted)
    if score_every is not None:
        judge = lambda samples: Scores(float(samples.float().std()), 1.0, 0.0)  # noqa: E731
        Selector(average, judge, every=score_every, count=4, keep=2).attach(stage)
    stage.on_step = [*stage.on_step, *(on_step or [])]
    settings = LoopSettings(precision="fp32", **options)
    begin = lambda: folder.mkdir(parents=True, exist_ok=True)  # noqa: E731
    fit([stage], output_dir=folder, machine=machine, settings=settings, hooks=[JsonLog(folder)], begin=begin)


if __name__ == "__main__":
    sys.exit(main())
