"""How fast is a training step of FUNIT, and what does a kept class code save?

    python benchmarks/translation_speed.py --output docs/benchmarks

Time: about three minutes on one CPU core. Compared in turns within one run: a step of the library against the step of the
release written plainly (``_plain_funit.py``), both in float32 with the same weights, and the translation of 64 contents
into one class with the class's code kept against two ways without: the same K exemplars given, and encoded, for each
content, and the ordinary call, which encodes them once. Processor time, so that other work on the machine counts less.
The step's networks are the release's for animals, at 64 px; the code's are ``funit_64``.
"""

import argparse
import copy
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import torch
from _machine import describe, machine_facts
from _plain_funit import PlainFUNIT
from torch import Tensor

import lowshotgan as lsg
from lowshotgan.draws import Draws
from lowshotgan.systems.averages import half_life
from lowshotgan.systems.class_training import ClassNets
from lowshotgan.train.ema import update_average
from lowshotgan.train.optimizers import make_optimizer
from lowshotgan.train.phases import only_trainable, weighted_loss
from lowshotgan.types import Batch, Stage

TARGETS = {"step": 2.0, "code": 1.5}


class LibraryStep:
    """The steps of the library's stage, as the loop takes them."""

    def __init__(self, system: Any, batch_size: int) -> None:
        live = copy.deepcopy(system.generator).requires_grad_(True)
        training = system.Training(batch_size=batch_size, penalty="official")
        nets = ClassNets(live, system.generator, system.discriminator)
        for net in (live, system.generator, system.discriminator):
            net.to(memory_format=torch.channels_last)
        self.stage: Stage = system.source_stage(nets, iter([]), training, lambda: torch.zeros(1))
        self.optimizers = {name: make_optimizer(group) for name, group in self.stage.groups.items()}

    def step(self, content: Tensor, exemplars: Tensor, content_labels: Tensor, labels: Tensor) -> dict[str, Tensor]:
        images = {"content": content, "exemplars": exemplars}
        images = {name: one.contiguous(memory_format=torch.channels_last) for name, one in images.items()}
        images |= {"content_labels": content_labels, "exemplar_labels": labels}
        batch, found = Batch(images, Draws(0), 0, 0.0), dict[str, Tensor]()
        for phase in self.stage.phases:
            with only_trainable(self.stage, phase.updates):
                loss, logged = weighted_loss(phase, phase.terms(batch), 0.0)
                loss.backward()  # type: ignore[no-untyped-call]
            self.optimizers[phase.updates].step()
            self.optimizers[phase.updates].zero_grad()
            found |= logged
        for live, averaged in self.stage.averages.values():
            update_average(live, averaged, step=0, half_life=half_life(0.999), rampup=None)
        return found


def seconds(action: Callable[[], Any]) -> float:
    began = time.process_time()
    action()
    return time.process_time() - began


def measure(system: Any, small: Any, *, batch: int, turns: int, contents: int) -> dict[str, Any]:
    """Processor seconds of every turn."""
    side = system.config.resolution
    generator = torch.Generator().manual_seed(0)

    def images(count: int) -> Tensor:
        return torch.rand(count, 3, side, side, generator=generator) * 2 - 1

    labels = torch.arange(batch) % system.config.num_classes
    given = (images(batch), images(batch), labels, labels.roll(1))
    plain, library = PlainFUNIT(system.generator, system.discriminator), LibraryStep(copy.deepcopy(system), batch)
    for one in (plain, library):
        one.step(*given)
    steps = [
        {"plain": seconds(lambda: plain.step(*given)), "library": seconds(lambda: library.step(*given))}
        for _ in range(turns)
    ]
    codes = {f"K={k}": code_turns(small, images(contents), images(k), turns) for k in (1, 5, 20)}
    return {"steps": steps, "codes": codes}


def code_turns(system: Any, content: Tensor, exemplars: Tensor, turns: int) -> list[dict[str, float]]:
    """Translating all contents by a code that is kept, by exemplars that are encoded for each, and by an ordinary call."""
    code = system.encode_exemplars(exemplars)
    each = exemplars[None].expand(len(content), -1, -1, -1, -1)
    return [
        {
            "kept": seconds(lambda: system.translate(content, code)),
            "encoded": seconds(lambda: system.translate(content, each)),
            "once": seconds(lambda: system.translate(content, exemplars)),
        }
        for _ in range(turns)
    ]


def report(found: dict[str, Any]) -> str:
    """Markdown: medians over the turns of ratios within a turn."""
    ratio = median(turn["plain"] / turn["library"] for turn in found["steps"])
    lines = [
        "# Speed of translation",
        "",
        f"`python benchmarks/translation_speed.py`. FUNIT's networks for animals at 64 px, batch {found['batch']}, float32, "
        f"{len(found['steps'])} turns, processor time. {describe(found['machine'])}; load average {found['load']:.1f}.",
        "",
        "| what | times as fast | target |",
        "|---|---|---|",
        f"| training step, against the release's step written plainly | {ratio:.2f} | {verdict(ratio, TARGETS['step'])} |",
    ]
    for name, turns in found["codes"].items():
        kept = f"| {found['contents']} contents into one class by funit_64, {name}, code kept"
        ratio = median(turn["encoded"] / turn["kept"] for turn in turns)
        lines.append(f"{kept}, against encoding for each content | {ratio:.2f} | {verdict(ratio, TARGETS['code'])} |")
        ratio = median(turn["once"] / turn["kept"] for turn in turns)
        lines.append(f"{kept}, against the ordinary call | {ratio:.2f} | reported |")
    lines += [
        "",
        "Encoding for each content is what `translate(contents, sets)` does with a set of exemplars for every content, "
        "`(N, K, 3, H, W)`; here all sets are the same, so that the code could have been kept. The ordinary call, one set "
        "for all contents, encodes it once, and a kept code saves that one pass.",
    ]
    return "\n".join(lines) + "\n"


def verdict(value: float, target: float) -> str:
    return f"at least {target:g}: {'met' if value >= target else 'missed'}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--contents", type=int, default=64)
    wish = parser.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(1)
    system = lsg.create_model("funit_128", resolution=64)
    found = measure(system, lsg.create_model("funit_64"), batch=wish.batch, turns=wish.turns, contents=wish.contents)
    found |= {"batch": wish.batch, "contents": wish.contents, "machine": machine_facts(), "load": os.getloadavg()[0]}
    wish.output.mkdir(parents=True, exist_ok=True)
    (wish.output / "translation_speed.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    (wish.output / "translation_speed.md").write_text(report(found), encoding="utf-8")
    print(report(found))


if __name__ == "__main__":
    main()
