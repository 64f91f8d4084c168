"""The methods of ``paired.py``: systems and their variants, baselines, recipes, and how each learns from shots."""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from _paired_baselines import BASELINES, Draw, Task, run_baseline
from _paired_pack import Pack
from _paired_scores import gaps
from torch import Tensor

from lowshotgan import finetune, load
from lowshotgan.cli.options import overrides
from lowshotgan.data.images import to_pil, to_uint8
from lowshotgan.draws import latents_from_seeds
from lowshotgan.systems.paired import PairedSystem

SYSTEMS = ("lado", "genho", "pfsgan")
RECIPES = ("cdc",)
JOINT = ("cogan", "unit")
MISPAIRED = "mis-paired"
"""Variant whose shots have each other's partners: what it loses is what the pairing gave."""
ABLATIONS: dict[str, Mapping[str, Any]] = {
    "lado[parity]": {"preset": "parity"},
    "lado[lsg1]": {"perceptual": "lsg1"},
    "lado[disc]": {"perceptual": "disc"},
    "lado[no pair loss]": {"pair_weight": 0.0},
    "lado[pair_weight 0.01, normalised]": {"pair_weight": 0.01, "pair_norm": True},
    "lado[no cross term]": {"cross_weight": 0.0},
    "lado[no straight term]": {"straight_weight": 0.0},
    "lado[noise_adversarial]": {"noise_adversarial": True},
    "genho[parity]": {"preset": "parity"},
    "genho[lsg1]": {"perceptual": "lsg1"},
    "genho[disc]": {"perceptual": "disc"},
    "genho[target query]": {"prior_query": "target"},
    "genho[both queries]": {"prior_query": "both"},
    "genho[latents as found]": {"refine_steps": 0},
    "genho[no images from noise]": {"noise_adversarial": False},
    "genho[content at low rate]": {"train_content": "low_lr"},
    "genho[content trained]": {"train_content": "full"},
    "genho[step 3 of one update]": {"appearance_steps": 1},
    "genho[step 5 of one update]": {"steps": 1},
    "genho[bank of 1,000]": {"bank": 1000},
    "genho[bank of 100,000]": {"bank": 100_000},
    "pfsgan[parity]": {"preset": "parity"},
    "pfsgan[no relations]": {"relation_weight": 0.0},
    "pfsgan[no colour shift]": {"shift": 0.0},
    "pfsgan[no adversary]": {"adversarial_weight": 0.0},
    "pfsgan[appearance from content]": {"appearance_init": "content"},
    "pfsgan[anchor as released]": {"anchor": "drawn"},
}
"""Variants of the fine-tuning; those that need another source model are run by naming it in --models."""


def check_methods(methods: Sequence[str], models: Mapping[str, str], changes: Sequence[str]) -> str | None:
    """What is wrong with the methods asked for, the models given or the changes of settings; ``None`` if nothing is."""
    owners = (*SYSTEMS, *RECIPES)
    known = {*SYSTEMS, *BASELINES, *RECIPES, *ABLATIONS, *(f"{name}[{MISPAIRED}]" for name in SYSTEMS)}
    for method in methods:
        if method not in known:
            return f"no method {method!r}; there are {', '.join(sorted(known))}"
        if needs(method) not in models:
            return f"{method} needs a source model: --models {needs(method)}=..."
    for name in models:
        if name not in owners:
            return f"--models knows {', '.join(owners)}, not {name!r}"
    for change in changes:
        owner, dot, _ = change.partition("=")[0].partition(".")
        if not dot or owner not in owners:
            return (
                f"--set wants METHOD.NAME=VALUE with one of {', '.join(owners)}, such as lado.lr=1e-4, not {change!r}"
            )
    return None


def needs(method: str) -> str:
    """The source model that a method adapts."""
    return "genho" if method in BASELINES else method.partition("[")[0]


def trained(
    method: str, pack: Pack, options: argparse.Namespace, shots: dict[str, Tensor], seed: int, folder: Path
) -> Iterator[tuple[Any, Any, dict[str, float]]]:
    """Steps, a function from seeds to twins, and further scores; one entry per checkpoint."""
    changes = settings_of(method, options.changes)
    common: dict[str, Any] = {"output_dir": folder, "seed": seed, "progress": False}
    if method in BASELINES:
        base = load(options.models["genho"])
        steps = [int(n) for n in (options.joint_checkpoints if method in JOINT else options.checkpoints).split(",")]
        task = Task(base, pack.learnable(), shots, steps, seed, options.baseline_batch)
        for count, draw in run_baseline(method, task):
            yield count, by_seed(draw, base.z_dim), {}
    elif method in RECIPES:
        base = load(options.models[method])
        adapted = finetune(base, to_pil(shots["target"]), recipe=method, **common, **changes).model
        yield "as set", lambda seeds: tuple(to_uint8(one.generate(seeds=seeds).tensor) for one in (base, adapted)), {}
    else:
        pairs = tuple(to_pil(shots[name]) for name in ("source", "target"))
        if method.endswith(f"[{MISPAIRED}]"):
            pairs = pairs[0][1:] + pairs[0][:1], pairs[1]
        model = finetune(options.models[needs(method)], pairs=pairs, **common, **changes).model
        yield "as set", twins_of(model), gaps(model.content_codes, shots, pack.reference)


def settings_of(method: str, changes: Sequence[str]) -> dict[str, Any]:
    """The settings of a method's fine-tuning: what ``--set`` gives, and what makes it a variant."""
    mine = [text.partition(".")[2] for text in changes if text.partition(".")[0] == needs(method)]
    return {} if method in BASELINES else overrides(mine) | dict(ABLATIONS.get(method, {}))


def twins_of(model: PairedSystem) -> Any:
    """Source and target images from seeds, as uint8."""
    return lambda seeds: to_uint8(model.generate(seeds=seeds, domain="both").tensor).chunk(2, dim=3)


def by_seed(draw: Draw, z_dim: int) -> Any:
    """The same from seeds, as uint8."""

    @torch.no_grad()
    def twins_of(seeds: list[int]) -> tuple[Tensor, ...]:
        return tuple(to_uint8(one.clamp(-1, 1)) for one in draw(latents_from_seeds(seeds, z_dim)))

    return twins_of
