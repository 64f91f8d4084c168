"""The cells of ``crossmodal.py`` as Markdown, each beside what was asked for; absent cells are "not run"."""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from _crossmodal_data import NAMES

Cells = Mapping[str, Mapping[str, Any]]
TITLES = {"speech": "Digits and spoken digits", "garments": "Digits and garments"}
WANTED = {"speech": (0.50, 1), "garments": (0.60, 5)}
"""Share of synchronous pairs asked of a model trained on a CPU, and how many times that of independent codes."""
COUNTS = (0, 1000, 200, 100, 10)
HEAD = """# Two modalities

Made by `benchmarks/crossmodal.py`, whose first lines say how, from the cells in `crossmodal/`. A judge of each modality is a
small classifier trained on real items alone; it never meets the synchronizer. *Synchronous* is the share of codes whose
two items get one class, *independent* the same for two codes, *ceiling* the same for real test pairs, the supervised upper
bound. *Classes* is the perplexity of the drawn classes, 10 at best: a model that draws one class only would be perfectly
synchronous. Transfer counts test items whose class survives in the other modality. Values are means over seeds, with the
standard deviation where there is more than one.
"""


def report(folder: Path) -> str:
    """The whole page."""
    cells = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))}
    parts = [HEAD]
    for pair, title in TITLES.items():
        own = {name.removeprefix(f"{pair}-"): cell for name, cell in cells.items() if name.startswith(f"{pair}-")}
        parts += [f"## {title}\n", *_sections(own, pair)] if own else [f"## {title}\n\nNot run.\n"]
    parts.append(_turned(cells))
    machines = sorted({f"{c['machine']['cpu']}, {c['machine']['threads']} thread" for c in cells.values()})
    parts.append(f"Machine: {'; '.join(machines) or 'none yet'}.\n")
    if commands := sorted({cell["command"] for cell in cells.values() if "command" in cell}):
        parts.append("\n".join(["Commands:\n", "```console", *(f"$ {command}" for command in commands), "```\n"]))
    return "\n".join(parts)


def _sections(cells: Cells, pair: str) -> list[str]:
    parts = []
    if judge := cells.get("judges"):
        right = ", ".join(
            f"{n.removeprefix('accuracy_')} {v:.3f}" for n, v in judge.items() if n.startswith("accuracy_")
        )
        parts.append(f"Judges on test items: {right}. Ceiling {judge['ceiling']:.3f} ({judge['pairs']} pairs).\n")
    parts += [_synchrony(cells, pair), _transfer(cells), _pairs(cells, pair)]
    parts += [_waveforms(cells)] if pair == "speech" else []
    return parts


def _synchrony(cells: Cells, pair: str) -> str:
    first, second = NAMES[pair]
    rows = [
        f"| model | synchronous | independent | classes, {first} | classes, {second} | asked for | |",
        "|" + " --- |" * 7,
    ]
    model = cells.get("model")
    if model is None:
        rows.append("| published | not run | | | | | |")
    else:
        rate, chance = model["sync_rate"], model["independent_rate"]
        spread = (model[f"perplexity_{first}"], model[f"perplexity_{second}"])
        share, times = WANTED[pair]
        met = rate >= max(share, times * chance) and min(spread) >= 7
        asked = f">= {share:.2f}, " + (f">= {times} x independent, " if times > 1 else "") + "classes >= 7"
        rows.append(_row(model["model"], rate, chance, *spread, asked, _verdict(met)))
    without = _all(cells, "unsynchronised-")
    if not without:
        rows.append("| sync_weight=0 | not run | | | | independent +- 0.03 | |")
    else:
        wanted = ("sync_rate", "independent_rate", f"perplexity_{first}", f"perplexity_{second}")
        means = [mean(cell[key] for cell in without) for key in wanted]
        met = abs(means[0] - means[1]) <= 0.03
        name = f"sync_weight=0, {without[0]['steps']} steps"
        rows.append(_row(name, *means, "independent +- 0.03", _verdict(met)))
    return "\n".join(rows) + "\n"


def _transfer(cells: Cells) -> str:
    model = cells.get("model")
    ways = [key for key in model or {} if " to " in key]
    if model is None or not ways:
        return "Transfer: not run.\n"
    rows = [
        "| transfer | method | accuracy | own modality redrawn | remaining error | asked for | |",
        "|" + " --- |" * 7,
    ]
    for way in ways:
        found = model[way]
        single = found["optimize, 1 start"]["accuracy"]
        for method, score in found.items():
            asked = verdict = ""
            if method == "hybrid":
                asked = f">= 0.45, >= optimize ({single:.2f})"
                verdict = _verdict(score["accuracy"] >= max(0.45, single))
            rows.append(_row(way, method, score["accuracy"], score["reconstruction"], score["error"], asked, verdict))
    return (
        f"From {model['samples']} codes; transfer of {model['transfers']} test items each way.\n\n"
        + "\n".join(rows)
        + "\n"
    )


def _pairs(cells: Cells, pair: str) -> str:
    kinds = ("synchronizer", "concat", "generator", "paired_only")
    judged, joined, trained, alone = (_by_count(cells, kind) for kind in kinds)
    lengths = {(c["warm_up"], c["steps"]) for group in trained.values() for c in group}
    said = "generators"
    if len(lengths) == 1:
        said += " trained for {} steps of redrawing and {} adversarial ones".format(*min(lengths))
    rows = [f"By number of labelled pairs; {said}:\n"]
    steps = sorted({c["steps"] for group in judged.values() for c in group})
    alone_for = f", {' or '.join(map(str, steps))} steps" if steps else ""
    head = f"| pairs | AUC of the synchronizer alone{alone_for} | synchronous | independent | classes |"
    rows += [head, "|" + " --- |" * 5]
    for count in COUNTS:
        auc = _spread([c["auc"] for c in judged.get(count, [])])
        made = trained.get(count, [])
        rate, chance = (_spread([c[k] for c in made]) for k in ("sync_rate", "independent_rate"))
        classes = _spread(_classes(made, pair), digits=1)
        rows.append(f"| {count or 'all'} | {auc} | {rate} | {chance} | {classes} |")
    if trained:
        rows += ["", "These trainings are short: they compare with each other, not with the published model."]
    lines = [*_judged_claims(judged, joined), *_trained_claims(trained, alone, pair)]
    return "\n".join([*rows, "", *(f"- {line}" for line in lines)]) + "\n"


def _classes(cells: Sequence[Any], pair: str) -> list[float]:
    """Of each cell, the perplexity of the modality with fewer classes."""
    return [min(c[f"perplexity_{name}"] for name in NAMES[pair]) for c in cells]


def _judged_claims(judged: Mapping[int, Sequence[Any]], joined: Mapping[int, Sequence[Any]]) -> list[str]:
    """What was asked of synchronizers alone."""
    lines = []
    for count, asked in ((0, 0.97), (200, 0.80)):
        if judged.get(count):
            found = mean(c["auc"] for c in judged[count])
            lines.append(
                f"AUC with {count or 'all'} pairs: {found:.3f}, asked for {asked}: {_verdict(found >= asked)}."
            )
    if joined.get(0):
        found, steps = mean(c["auc"] for c in joined[0]), joined[0][0]["steps"]
        lines.append(
            f"AUC of the synchronizer on joined features, all pairs, {steps} steps: {found:.3f}, asked for 0.95: "
            f"{_verdict(found >= 0.95)}."
        )
    else:
        lines.append("The synchronizer on joined features: not run.")
    return lines


def _trained_claims(trained: Mapping[int, Sequence[Any]], alone: Mapping[int, Sequence[Any]], pair: str) -> list[str]:
    """What was asked of generators by number of pairs."""
    lines = []
    if trained.get(0) and trained.get(1000):
        rates = [mean(c["sync_rate"] for c in trained[count]) for count in (0, 1000)]
        share = rates[1] / max(rates[0], 1e-9)
        lines.append(f"1000 pairs reach {share:.0%} of all pairs' rate, asked for 85%: {_verdict(share >= 0.85)}.")
    if trained.get(200) and alone.get(200):
        worth = [
            mean(c["sync_rate"] * n for c, n in zip(cells[200], _classes(cells[200], pair), strict=True))
            for cells in (trained, alone)
        ]
        lines.append(
            f"200 pairs and unpaired items, synchronous x classes: {worth[0]:.2f}; a GAN of these pairs alone: "
            f"{worth[1]:.2f}, which was to be beaten: {_verdict(worth[0] > worth[1])}."
        )
    else:
        lines.append("A GAN trained on the few pairs alone: not run.")
    return lines


def _waveforms(cells: Cells) -> str:
    found = cells.get("spoken")
    if found is None:
        return "Sounds as waveforms: not run.\n"
    kept, heard = found["kept_as_waveform"], found["files"]
    right = sum(int(digit) == one["heard_as"] for digit, one in heard.items())
    return (
        f"As a waveform and back, {kept:.3f} of {found['samples']} drawn sounds keep their class (`spoken_digits.py`), "
        f"asked for 0.80: {_verdict(kept >= 0.8)}. Of the {len(heard)} files it writes, {right} are heard as the digit they "
        "are named after.\n"
    )


def _turned(cells: Cells) -> str:
    """The cells whose right answer is known."""
    lines = ["## A digit and the same digit turned\n"]
    if found := [c for name, c in cells.items() if "conditional-seed" in name]:
        right = [c["accuracy"] for c in found]
        lines.append(
            f"- The conditional model, {found[0]['steps']} steps: {_spread(right)} of its results, turned back, are read as "
            f"the right digit, asked for 0.85: {_verdict(mean(right) >= 0.85)}."
        )
    else:
        lines.append("- The conditional model: not run.")
    if found := [c for name, c in cells.items() if "instances-seed" in name]:
        same, class_alone = ([c[key] for c in found] for key in ("ssim", "ssim_class"))
        above = mean(same) - mean(class_alone)
        lines.append(
            f"- SyncGAN, every digit a concept of its own, {found[0]['warm_up']} steps of redrawing and "
            f"{found[0]['steps']} adversarial ones, {found[0]['transfers']} digits transferred by `hybrid`: SSIM with the "
            f"turned digit {_spread(same)}, with another turned digit of the class {_spread(class_alone)}; {above:.3f} "
            f"above, asked for 0.2: {_verdict(above >= 0.2)}."
        )
    else:
        lines.append("- SyncGAN, every digit a concept of its own: not run.")
    return "\n".join(lines) + "\n"


def _by_count(cells: Cells, kind: str) -> dict[int, list[Any]]:
    groups: dict[int, list[Any]] = defaultdict(list)
    for cell in _all(cells, f"{kind}-"):
        groups[cell["pairs"]].append(cell)
    return groups


def _all(cells: Cells, start: str) -> list[Any]:
    return [cell for name, cell in cells.items() if name.startswith(start)]


def _spread(values: Sequence[float], *, digits: int = 3) -> str:
    if not values:
        return "not run"
    return f"{mean(values):.{digits}f}" + (f" +- {stdev(values):.{digits}f}" if len(values) > 1 else " (1 seed)")


def _row(*values: Any) -> str:
    return "| " + " | ".join(f"{v:.3f}" if isinstance(v, float) else str(v) for v in values) + " |"


def _verdict(met: bool) -> str:
    return "met" if met else "missed"
