"""How synchronous are two modalities drawn from one code, and how does it fall with the number of pairs?

    python benchmarks/crossmodal.py --pair speech --data image=MNIST --data audio=FSDD --cells judges,synchronizer
    python benchmarks/crossmodal.py --pair speech --data image=MNIST --data audio=FSDD --cells model --model NAME
    python benchmarks/crossmodal.py --report

MNIST is the folder of the idx files, FSDD the zip or folder of spoken digits; ``--pair garments`` takes
``--data digit=MNIST --data garment=FASHION``, the idx files of Fashion-MNIST. Each cell is a JSON file in ``--output``: what
is there is not run again, and a training that was stopped goes on. The table is made of whatever is there and says what is
not.

judges          classifiers of real items, which never see the model: accuracy on test items, and the ceiling, the share of
                real test pairs that they give one class; half a minute each on one CPU core
synchronizer    the synchronizer alone, by number of pairs and seed: AUC on test items; ten seconds each
concat          the same with the synchronizer on joined features, for ``--concat-steps`` steps
model           a trained model: how often both modalities have one class for one code, for two codes, how many classes are
                drawn, and how often a test item keeps its class in the other modality, by method; a minute or two
generator       a model trained here for ``--steps`` steps after ``--warm-up``, by number of pairs and seed, judged in the
                same way
paired_only     the same from the items of these pairs alone
unsynchronised  the same with sync_weight=0 and without a warm-up, which listens to the synchronizer too
conditional     the conditional model from a digit to the same digit turned, ``--steps`` steps
instances       SyncGAN of digits and the same digits turned, where every pair is a concept of its own
"""

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import _crossmodal_turned
import torch
from _crossmodal_data import (
    CLASSES,
    Items,
    agreement,
    as_sync_data,
    classes_of,
    judges,
    modalities,
    perplexity,
    read_items,
)
from _crossmodal_report import report
from _crossmodal_turned import as_images
from _machine import machine_facts, shown_command

import lowshotgan as lsg
from lowshotgan.losses.synchrony import auc
from lowshotgan.systems.syncgan.data import SyncData
from lowshotgan.train.loop import LoopSettings, fit
from lowshotgan.train.machine import Machine

CELLS = (
    "judges",
    "synchronizer",
    "concat",
    "model",
    "generator",
    "paired_only",
    "unsynchronised",
    "conditional",
    "instances",
)
ONCE = ("judges", "model")
BY_PAIRS = ("synchronizer", "concat", "generator", "paired_only")
METHODS: dict[str, dict[str, Any]] = {
    "nearest": {"method": "nearest"},
    "encoder": {"method": "encoder"},
    "hybrid": {"method": "hybrid"},
    "optimize, 1 start": {"method": "optimize", "restarts": 1},
}
SIZES = {"width": 12, "concept_dim": 8, "private_dim": 8, "synchronizer_width": 8}
SETTINGS = {
    "batch_size": 16,
    "synchronizer_steps": 1000,
    "lr": 3e-4,
    "sync_weight": 2.0,
    "precision": "fp32",
    "progress": False,
}


class Bench:
    """One pair of modalities with what its cells share.

    Args:
        options: of the command line.
    """

    def __init__(self, options: argparse.Namespace) -> None:
        self.options, self.pair, self.folder = options, options.pair, options.output
        paths = {name: Path(path) for name, _, path in (entry.partition("=") for entry in options.data)}
        self.train, self.test = (read_items(self.pair, paths, test=test) for test in (False, True))
        self.first, self.second = self.train
        self.judges = judges(self.train, options.work / self.pair)

    def run(self, name: str, work: Any, *arguments: Any) -> None:
        """Run a cell unless its file is there."""
        path = self.folder / f"{self.pair}-{name}.json"
        if path.exists():
            return
        began = time.perf_counter()
        found = work(*arguments)
        found |= {"seconds": round(time.perf_counter() - began), "machine": machine_facts()}
        found["command"] = self.options.command
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        print(path.stem, {key: value for key, value in found.items() if key != "machine"}, flush=True)

    def judges_cell(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, items in self.test.items():
            found[f"accuracy_{name}"] = agreement(classes_of(self.judges[name], items.values), items.labels)
        rows = real_pairs(self.test[self.first], self.test[self.second])
        drawn = [self.test[n].values[r] for n, r in zip(self.test, rows, strict=True)]
        said = [classes_of(self.judges[n], values) for n, values in zip(self.test, drawn, strict=True)]
        return found | {"ceiling": agreement(*said), "pairs": len(rows[0])}

    def concat_cell(self, pairs: int, seed: int) -> dict[str, Any]:
        return self.synchronizer_cell(pairs, seed, kind="concat", steps=self.options.concat_steps)

    def synchronizer_cell(
        self, pairs: int, seed: int, *, kind: str = "two_tower", steps: int | None = None
    ) -> dict[str, Any]:
        torch.manual_seed(seed)
        model = self.new_model(synchronizer=kind)
        steps = steps or self.options.synchronizer_steps
        training = model.Training(batch_size=32, synchronizer_steps=steps, per_group=pairs // CLASSES)
        stage = next(iter(model.stages(as_sync_data(shuffled(self.train, seed)), training, seed=seed)))
        settings = LoopSettings(precision="fp32", resume="never", seed=seed)
        folder = self.options.work / kind
        fit([stage], output_dir=folder, machine=Machine("cpu"), settings=settings)
        return {"auc": self.test_auc(model), "pairs": pairs, "steps": steps, "seed": seed}

    def new_model(self, **options: Any) -> Any:
        return lsg.create_model("syncgan_28", modalities=modalities(self.pair), **SIZES, **options)

    @torch.no_grad()
    def test_auc(self, model: Any) -> float:
        """Over all pairs of 250 test items of each modality."""
        items = [Items(i.values[:250], i.labels[:250]) for i in shuffled(self.test, 0).values()]
        judge = model.discriminator.synchronizer.eval()
        logits = judge.combinations(items[0].values, items[1].values, (self.first, self.second))
        return auc(logits.flatten(), (items[0].labels[:, None] == items[1].labels[None]).flatten())

    def paired_only_cell(self, pairs: int, seed: int) -> dict[str, Any]:
        items = {name: first_of_each(one, pairs // CLASSES) for name, one in shuffled(self.train, seed).items()}
        return self.train_generator(items, "paired_only", pairs, seed)

    def generator_cell(self, pairs: int, seed: int) -> dict[str, Any]:
        return self.train_generator(shuffled(self.train, seed), "generator", pairs, seed, per_group=pairs // CLASSES)

    def unsynchronised_cell(self, seed: int) -> dict[str, Any]:
        without = {"sync_weight": 0.0, "warm_up_steps": 0}
        return self.train_generator(shuffled(self.train, seed), "unsynchronised", 0, seed, **without)

    def train_generator(
        self, items: dict[str, Items], name: str, pairs: int, seed: int, **changes: Any
    ) -> dict[str, Any]:
        torch.manual_seed(seed)
        model, steps = self.new_model(encoders=self.options.transfers > 0), self.options.steps
        folder = self.options.work / f"{self.pair}-{name}-{pairs}-{seed}"
        settings = {**SETTINGS, "steps": steps, "warm_up_steps": self.options.warm_up, "seed": seed, **changes}
        data: SyncData = as_sync_data(items)
        result = lsg.train(model, data, output_dir=folder, **settings)
        about = {"pairs": pairs, "steps": steps, "warm_up": settings["warm_up_steps"], "seed": seed}
        return about | self.scores(result.model)

    def model_cell(self) -> dict[str, Any]:
        return {"model": self.options.model, **self.scores(lsg.load(self.options.model))}

    def scores(self, model: Any) -> dict[str, Any]:
        """Synchrony of drawn pairs, and transfer both ways; labels are used to score only."""
        made = model.generate(self.options.samples, batch_size=100).values
        first, second = (classes_of(self.judges[name], made[name]) for name in (self.first, self.second))
        found: dict[str, Any] = {
            "sync_rate": agreement(first, second),
            "independent_rate": agreement(first, second.roll(1)),
            f"perplexity_{self.first}": perplexity(first),
            f"perplexity_{self.second}": perplexity(second),
            "auc": self.test_auc(model),
            "samples": self.options.samples,
            "transfers": self.options.transfers,
        }
        ways = ((self.first, self.second), (self.second, self.first)) if self.options.transfers else ()
        for source, target in ways:
            found[f"{source} to {target}"] = self.transfers(model, source, target)
        return found

    def transfers(self, model: Any, source: str, target: str) -> dict[str, dict[str, float]]:
        items = shuffled(self.test, 1)[source]
        values, labels = items.values[: self.options.transfers], items.labels[: self.options.transfers]
        raw = values if source == "audio" else as_images(values)
        found = {}
        for name, options in METHODS.items():
            made = model.transfer(raw, to=target, from_=source, **options)
            own = model.generate(latents=made.latents, modality=source).values[source]
            found[name] = {
                "accuracy": agreement(classes_of(self.judges[target], made.values[target]), labels),
                "reconstruction": agreement(classes_of(self.judges[source], own), labels),
                "error": float(made.error.mean()),
            }
        return found

    def conditional_cell(self, seed: int) -> dict[str, Any]:
        train, test, judge = self.train[self.first], self.test[self.first], self.judges[self.first]
        folder = self.options.work / f"conditional-{seed}"
        return _crossmodal_turned.conditional(train, test, judge, folder, steps=self.options.steps, seed=seed)

    def instances_cell(self, seed: int) -> dict[str, Any]:
        options = self.options
        lengths = {"steps": options.steps, "warm_up": options.warm_up, "transfers": options.transfers}
        folder = options.work / f"instances-{seed}"
        return _crossmodal_turned.instances(
            self.train[self.first], self.test[self.first], folder, **lengths, seed=seed
        )


def shuffled(items: dict[str, Items], seed: int) -> dict[str, Items]:
    """Items in another order, so that the first K of a class are another draw."""
    found = {}
    for name, one in items.items():
        order = torch.randperm(len(one.labels), generator=torch.Generator().manual_seed(seed))
        found[name] = Items(one.values[order], one.labels[order])
    return found


def first_of_each(items: Items, count: int) -> Items:
    """The first so many items of each label."""
    rows = torch.cat([(items.labels == label).nonzero()[:count, 0] for label in range(CLASSES)])
    return Items(items.values[rows], items.labels[rows])


def real_pairs(first: Items, second: Items) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows of as many pairs with one label as there are items of the smaller class."""
    rows = []
    for label in range(CLASSES):
        a, b = ((items.labels == label).nonzero()[:, 0] for items in (first, second))
        count = min(len(a), len(b))
        rows.append((a[:count], b[:count]))
    return torch.cat([a for a, _ in rows]), torch.cat([b for _, b in rows])


def main(arguments: list[str] | None = None) -> None:
    options = parse(arguments)
    if not options.report:
        bench = Bench(options)
        seeds = range(options.seeds)
        for cell in options.cells.split(","):
            work = getattr(bench, f"{cell}_cell")
            if cell in ONCE:
                bench.run(cell, work)
            for seed in () if cell in ONCE else seeds:
                if cell in BY_PAIRS:
                    for pairs in (int(k) for k in options.pairs.split(",")):
                        bench.run(f"{cell}-pairs{pairs}-seed{seed}", work, pairs, seed)
                else:
                    bench.run(f"{cell}-seed{seed}", work, seed)
    if options.scores:
        options.scores.write_text(
            json.dumps(card_scores(options.output, options.pair), indent=1) + "\n", encoding="utf-8"
        )
    text = report(options.output)
    options.table.write_text(text, encoding="utf-8")
    print(options.table)


def card_scores(folder: Path, pair: str) -> list[dict[str, Any]]:
    """The figures of the cell ``model`` as ``recipes/publish.py --metrics`` reads them."""
    cell = json.loads((folder / f"{pair}-model.json").read_text(encoding="utf-8"))
    protocol = f"crossmodal-{pair}"
    drawn = {"n": cell["samples"], "reference": "judges trained on real items", "protocol": protocol}
    rates = ("sync_rate", "independent_rate", *(key for key in cell if key.startswith("perplexity")))
    scores = [{"name": key, "value": round(cell[key], 3), **drawn} for key in rates]
    scores.append(
        {"name": "auc", "value": round(cell["auc"], 3), "reference": "pairs of test items", "protocol": protocol}
    )
    moved = {"n": cell["transfers"], "reference": "the class of the test item", "protocol": protocol}
    return scores + [
        {"name": f"{way}, {method}", "value": round(score["accuracy"], 3), **moved}
        for way in cell
        if " to " in way
        for method, score in cell[way].items()
    ]


def parse(arguments: list[str] | None) -> argparse.Namespace:
    here = Path(__file__).resolve().parents[1] / "docs" / "benchmarks"
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pair", choices=["speech", "garments"], default="speech")
    parser.add_argument("--data", action="append", default=[], help="NAME=PATH of each modality")
    parser.add_argument("--cells", default="judges,synchronizer", help=f"of {', '.join(CELLS)}, with commas between")
    parser.add_argument("--model", help="of the cell 'model': a name, folder or run")
    parser.add_argument("--pairs", default="0,1000,200,100,10", help="numbers of pairs; 0 for all")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=2000, help="of the cells that train")
    parser.add_argument("--warm-up", type=int, default=300, help="steps of redrawing before them")
    parser.add_argument("--synchronizer-steps", type=int, default=600)
    parser.add_argument("--concat-steps", type=int, default=4000)
    parser.add_argument("--samples", type=int, default=2000)
    parser.add_argument("--transfers", type=int, default=200, help="test items each way; 0 for none, and no encoders")
    parser.add_argument("--output", type=Path, default=here / "crossmodal")
    parser.add_argument("--table", type=Path, default=here / "crossmodal.md")
    parser.add_argument("--work", type=Path, default=Path("runs/crossmodal"), help="judges and trainings")
    parser.add_argument("--scores", type=Path, help="also write the cell 'model' for recipes/publish.py")
    parser.add_argument("--report", action="store_true", help="only write the table")
    options = parser.parse_args(arguments)
    options.command = shown_command("crossmodal.py", sys.argv[1:] if arguments is None else arguments)
    unknown = sorted(set(options.cells.split(",")) - set(CELLS))
    if unknown:
        parser.error(f"unknown cells {', '.join(unknown)}")
    return options


if __name__ == "__main__":
    main()
