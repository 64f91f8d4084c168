"""How synchronous are two modalities drawn from one code, and how does it fall with the number of pairs?

    python benchmarks/crossmodal.py --pair speech --data image=MNIST --data audio=FSDD --cells judges,synchronizer
    python benchmarks/crossmodal.py --pair speech --data image=MNIST --data audio=FSDD --cells model --model NAME
    python benchmarks/crossmodal.py --report

MNIST is the folder of the idx files, FSDD the zip or folder of spoken digits; ``--pair garments`` takes
``--data digit=MNIST --data garment=FASHION``, the idx files of Fashion-MNIST. Each cell is a JSON file in ``--output``: what
is there is not run again, and a training that was stopped goes on. The table is made of whatever is there and says what is
not.

judges        classifiers of real items, which never see the model: accuracy on test items, and the ceiling, the share of
              real test pairs that they give one class; half a minute each on one CPU core
synchronizer  the synchronizer alone, by number of pairs and seed: AUC on test items; ten seconds each
model         a trained model: how often both modalities have one class for one code, for two codes, how many classes are
              drawn, and how often a test item keeps its class in the other modality, by method; a minute or two
generator     a model trained here for ``--steps`` steps after ``--warm-up``, by number of pairs and seed, judged in the same
              way
unsynchronised  the same with sync_weight=0 and without a warm-up, which listens to the synchronizer too
rotated       the conditional model from a digit to the same digit turned, ``--steps`` steps
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

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
from _machine import machine_facts

import lowshotgan as lsg
from lowshotgan.losses.synchrony import auc
from lowshotgan.systems.syncgan.data import SyncData
from lowshotgan.train.loop import LoopSettings, fit
from lowshotgan.train.machine import Machine

CELLS = ("judges", "synchronizer", "model", "generator", "unsynchronised", "rotated")
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
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        print(path.stem, {key: value for key, value in found.items() if key != "machine"}, flush=True)

    def judge_cell(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, items in self.test.items():
            found[f"accuracy_{name}"] = agreement(classes_of(self.judges[name], items.values), items.labels)
        rows = real_pairs(self.test[self.first], self.test[self.second])
        drawn = [self.test[n].values[r] for n, r in zip(self.test, rows, strict=True)]
        said = [classes_of(self.judges[n], values) for n, values in zip(self.test, drawn, strict=True)]
        return found | {"ceiling": agreement(*said), "pairs": len(rows[0])}

    def synchronizer_cell(self, pairs: int, seed: int) -> dict[str, Any]:
        torch.manual_seed(seed)
        model = self.new_model()
        training = model.Training(
            batch_size=32, synchronizer_steps=self.options.synchronizer_steps, per_group=pairs // CLASSES
        )
        stage = next(iter(model.stages(as_sync_data(shuffled(self.train, seed)), training, seed=seed)))
        settings = LoopSettings(precision="fp32", resume="never", seed=seed)
        folder = self.options.work / "synchronizer"
        fit([stage], output_dir=folder, machine=Machine("cpu"), settings=settings)
        return {"auc": self.test_auc(model), "pairs": pairs, "steps": training.synchronizer_steps, "seed": seed}

    def new_model(self, **options: Any) -> Any:
        return lsg.create_model("syncgan_28", modalities=modalities(self.pair), **SIZES, **options)

    @torch.no_grad()
    def test_auc(self, model: Any) -> float:
        """Over all pairs of 250 test items of each modality."""
        items = [Items(i.values[:250], i.labels[:250]) for i in shuffled(self.test, 0).values()]
        judge = model.discriminator.synchronizer.eval()
        logits = judge.combinations(items[0].values, items[1].values, (self.first, self.second))
        return auc(logits.flatten(), (items[0].labels[:, None] == items[1].labels[None]).flatten())

    def generator_cell(self, pairs: int, seed: int, **changes: Any) -> dict[str, Any]:
        torch.manual_seed(seed)
        model, steps = self.new_model(encoders=self.options.transfers > 0), self.options.steps
        folder = self.options.work / f"{self.pair}-{pairs}-{seed}-{'-'.join(changes)}"
        settings = {**SETTINGS, "steps": steps, "warm_up_steps": self.options.warm_up, "seed": seed, **changes}
        settings["per_group"] = pairs // CLASSES
        data: SyncData = as_sync_data(shuffled(self.train, seed))
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
        raw = values if source == "audio" else _as_images(values)
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

    def rotated_cell(self, seed: int) -> dict[str, Any]:
        """Judged by turning the result back and asking for its digit."""
        torch.manual_seed(seed)
        model = lsg.create_model("cond_syncgan_28")
        values = self.train[self.first].values
        data = {"first": _as_images(values), "second": _as_images(values.rot90(1, (2, 3))), "pairs": "aligned"}
        settings = {"steps": self.options.steps, "seed": seed, "precision": "fp32", "progress": False}
        settings |= {"synchronizer_lr": 1e-4, "batch_size": 32}
        result = lsg.train(model, data, output_dir=self.options.work / f"rotated-{seed}", **settings)
        items = self.test[self.first]
        drawn = result.model.generate(content=_as_images(items.values), batch_size=100).values["second"]
        said = classes_of(self.judges[self.first], drawn.rot90(-1, (2, 3)))
        return {"accuracy": agreement(said, items.labels), "steps": self.options.steps, "seed": seed}


def shuffled(items: dict[str, Items], seed: int) -> dict[str, Items]:
    """Items in another order, so that the first K of a class are another draw."""
    found = {}
    for name, one in items.items():
        order = torch.randperm(len(one.labels), generator=torch.Generator().manual_seed(seed))
        found[name] = Items(one.values[order], one.labels[order])
    return found


def real_pairs(first: Items, second: Items) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows of as many pairs with one label as there are items of the smaller class."""
    rows = []
    for label in range(CLASSES):
        a, b = ((items.labels == label).nonzero()[:, 0] for items in (first, second))
        count = min(len(a), len(b))
        rows.append((a[:count], b[:count]))
    return torch.cat([a for a, _ in rows]), torch.cat([b for _, b in rows])


def _as_images(values: torch.Tensor) -> torch.Tensor:
    """Grey items in [-1, 1] as uint8 ``(N, 3, H, W)``, which a modality reads."""
    return ((values + 1) * 127.5).round().byte().expand(-1, 3, -1, -1)


def main(arguments: list[str] | None = None) -> None:
    options = parse(arguments)
    if not options.report:
        bench = Bench(options)
        seeds = range(options.seeds)
        for cell in options.cells.split(","):
            if cell in ("judges", "model"):
                bench.run(cell, bench.judge_cell if cell == "judges" else bench.model_cell)
            for seed in seeds if cell not in ("judges", "model") else ():
                if cell == "rotated":
                    bench.run(f"rotated-seed{seed}", bench.rotated_cell, seed)
                elif cell == "unsynchronised":
                    without = {"sync_weight": 0.0, "warm_up_steps": 0}
                    bench.run(f"unsynchronised-seed{seed}", lambda s=seed, w=without: bench.generator_cell(0, s, **w))
                else:
                    work = bench.synchronizer_cell if cell == "synchronizer" else bench.generator_cell
                    for pairs in (int(k) for k in options.pairs.split(",")):
                        bench.run(f"{cell}-pairs{pairs}-seed{seed}", work, pairs, seed)
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
    plain = ("sync_rate", "independent_rate", *(key for key in cell if key.startswith("perplexity")), "auc")
    found = {key: cell[key] for key in plain}
    ways = [key for key in cell if " to " in key]
    found |= {f"{way}, {method}": score["accuracy"] for way in ways for method, score in cell[way].items()}
    return [
        {"name": name, "value": round(value, 3), "protocol": f"crossmodal-{pair}"} for name, value in found.items()
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
    parser.add_argument("--samples", type=int, default=2000)
    parser.add_argument("--transfers", type=int, default=200, help="test items each way; 0 for none, and no encoders")
    parser.add_argument("--output", type=Path, default=here / "crossmodal")
    parser.add_argument("--table", type=Path, default=here / "crossmodal.md")
    parser.add_argument("--work", type=Path, default=Path("runs/crossmodal"), help="judges and trainings")
    parser.add_argument("--scores", type=Path, help="also write the cell 'model' for recipes/publish.py")
    parser.add_argument("--report", action="store_true", help="only write the table")
    options = parser.parse_args(arguments)
    unknown = sorted(set(options.cells.split(",")) - set(CELLS))
    if unknown:
        parser.error(f"unknown cells {', '.join(unknown)}")
    return options


if __name__ == "__main__":
    main()
