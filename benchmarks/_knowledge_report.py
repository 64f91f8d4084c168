"""The page of ``knowledge.py``: tables of the finished cells, targets, verdicts, and what was not run."""

import json
from collections import defaultdict
from pathlib import Path
from statistics import mean, stdev
from typing import Any

SEEDS = 3
"""Seeds that a full table has."""
ZERO_SHOT = (
    ("published", "`kggan_64.avatars_v1`, 64 px"),
    ("full", "full, 32 px"),
    ("no_semantic", "without the semantic losses, 32 px"),
    ("one_hot", "no knowledge (one-hot), 32 px"),
)
RECOLOUR = (
    ("published", "`kggan_recolour_128.avatars_v1`, 128 px"),
    ("full", "full, 64 px"),
    ("no_g2", "trained without G2, nearest seen category, 64 px"),
)
NOT_RUN = """\
| what | why |
|---|---|
| Z4, Z6 (categories listed after training; permuted vectors) scored by the judge | no cells; the interface is tested |
| seeds beyond those in the column "cells" | time |
| anything on a GPU | none was at hand |
| R6 (clothes) | no labelled clothes in the packs |
"""


def page(folder: Path) -> str:
    """The Markdown page made of the cells in ``folder``."""
    cells = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*-seed*.json"))]
    zero = by_arm(cells, "zero-shot")
    recolour = by_arm(cells, "recolour")
    machines = sorted({cell["machine"] for cell in cells})
    return "\n".join(
        [
            "# What knowledge is worth: KG-GAN",
            "",
            "Made by `benchmarks/knowledge.py` from real images: cartoon faces with known hair and skin colours. Commands:",
            "",
            "```console",
            "$ python benchmarks/knowledge.py zero-shot --data avatars_adventurer_128.zip \\",
            "    --arms none --models published=weights/kggan_64.avatars_v1",
            "$ python benchmarks/knowledge.py zero-shot --data avatars_adventurer_128.zip --samples 10",
            "$ python benchmarks/knowledge.py recolour --data avatars_adventurer_128.zip --test hair_recolor_128.zip \\",
            "    --arms none --models published=weights/kggan_recolour_128.avatars_v1",
            "$ python benchmarks/knowledge.py report --page docs/benchmarks/knowledge.md",
            "```",
            "",
            *(f"Machine: {machine}." for machine in machines),
            "",
            "## Categories without images",
            "",
            *zero_shot_section(zero),
            "",
            "## Colours without images",
            "",
            *recolour_section(recolour),
            "",
            "## Not run",
            "",
            NOT_RUN,
        ]
    )


def card_metrics(cell: dict[str, Any]) -> list[dict[str, Any]]:
    """What a model's card says, for ``recipes/publish.py --metrics``."""
    if cell["part"] == "zero-shot":
        found = {
            "accuracy_unseen": cell["unseen"]["joint"],
            "accuracy_seen": cell["seen"]["joint"],
            "accuracy_by_chance": cell["chance"],
            "kd_unseen": cell["unseen_kd"],
            "kd_seen": cell["seen_kd"],
        }
    else:
        ours, same = (cell["trained_style"][name] for name in ("method", "identity"))
        found = {
            "ciede2000_unseen": ours["unseen_ciede2000"],
            "ciede2000_unseen_identity": same["unseen_ciede2000"],
            "mae_unseen": ours["unseen_truth_mae"],
            "change_outside": ours["outside_change"],
            "mask_iou": ours["iou"],
        }
    return [{"name": name, "value": value, "protocol": "benchmarks/knowledge.py"} for name, value in found.items()]


def by_arm(cells: list[dict[str, Any]], part: str) -> dict[str, list[dict[str, Any]]]:
    """Cells of one part by arm."""
    found = defaultdict(list)
    for cell in cells:
        if cell["part"] == part:
            found[cell["arm"]].append(cell)
    return dict(found)


def zero_shot_section(arms: dict[str, list[dict[str, Any]]]) -> list[str]:
    """Explanation, table and verdicts of the first half."""
    if not arms:
        return ["Not run."]
    some = next(iter(arms.values()))[0]
    judge, chance = some["judge"], some["chance"]
    lines = [
        "56 categories (14 hair colours, 4 skin colours), 16 of them without images: all of two hair colours (ginger,",
        "purple) and eight further pairs. A classifier trained on one half of all real images judges what is drawn; of the",
        f"other half it reads {judge['joint']:.0%} right (hair {judge['hair']:.0%}, skin {judge['skin']:.0%}). Chance is",
        f"{chance:.1%}. KD: kernel distance to real images (`lsg1`, 400 images); those of unseen categories are used for",
        "scoring only. The models at 32 px are trained for the comparison: 300 steps of warm-up and 200 adversarial",
        "steps, a small share of what the published one had.",
        "",
        "| model | cells | seen | unseen | of them new colours | new pairs | hair (unseen) | skin (unseen) | KD seen "
        "| KD unseen |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for arm, label in ZERO_SHOT:
        found = arms.get(arm, [])
        columns = [
            [c["seen"]["joint"] for c in found],
            [c["unseen"]["joint"] for c in found],
            [c["unseen_colours"]["joint"] for c in found],
            [c["unseen_pairs"]["joint"] for c in found],
            [c["unseen"]["hair"] for c in found],
            [c["unseen"]["skin"] for c in found],
            [c["seen_kd"] for c in found],
            [c["unseen_kd"] for c in found],
        ]
        lines.append(row(label, columns) if found else f"| {label} | not run | | | | | | | | |")
    return [*lines, "", *zero_shot_verdicts(arms), *what_the_losses_bring(arms)]


def what_the_losses_bring(arms: dict[str, list[dict[str, Any]]]) -> list[str]:
    """A sentence on the semantic losses, where they and their absence were both run."""
    if not {"full", "no_semantic"} <= set(arms):
        return []
    gain = mean(c["unseen"]["joint"] for c in arms["full"]) - mean(c["unseen"]["joint"] for c in arms["no_semantic"])
    found = f"Unseen accuracy with the semantic losses less that without them: {gain:+.3f}."
    if gain >= 0.02:
        return ["", found]
    return [
        "",
        f"{found} In these short runs they bring nothing measurable: colours as vectors, and the warm-up, already carry the",
        "knowledge to categories without images.",
    ]


def zero_shot_verdicts(arms: dict[str, list[dict[str, Any]]]) -> list[str]:
    """Targets of the specification, each with the figure reached."""
    unseen = {arm: mean(c["unseen"]["joint"] for c in found) for arm, found in arms.items()}
    lines = ["| target | reached | verdict |", "|---|---|---|"]
    for arm in ("published", "full"):
        if arm in unseen:
            lines.append(verdict(f"unseen joint accuracy of {arm} at least 0.85", unseen[arm], unseen[arm] >= 0.85))
    if "one_hot" in unseen:
        lines.append(verdict("no knowledge: unseen at most 0.15", unseen["one_hot"], unseen["one_hot"] <= 0.15))
    for base in ("one_hot", "no_semantic"):
        if "full" in unseen and base in unseen:
            gain, least = unseen["full"] - unseen[base], 0.5 if base == "one_hot" else -0.02
            lines.append(verdict(f"full above {base} by at least {least}", gain, gain >= least))
    for arm in ("published", "full"):
        if arm in arms:
            ratio = mean(c["unseen_kd"] / max(c["seen_kd"], 1e-6) for c in arms[arm])
            lines.append(verdict(f"KD of unseen at most 1.5 times that of seen ({arm})", ratio, ratio <= 1.5))
    return lines


def recolour_section(arms: dict[str, list[dict[str, Any]]]) -> list[str]:
    """Explanation, table and verdicts of the second half."""
    if not arms:
        return ["Not run."]
    lines = [
        "Trained on black, brown and blonde hair without masks; tested on other drawings, of which masks and true",
        "recolourings exist. Unseen colours: ginger, blue, pink. Colour errors compare the mean colour inside the true mask",
        "with the colour asked for, as distance in RGB in [0, 1] and as CIEDE2000; MAE compares all pixels with the true",
        "recolouring; change outside is the mean absolute change where the true mask is 0. *Identity* changes nothing,",
        "*flat* paints the model's own mask evenly.",
    ]
    titles = (("trained_style", "The style trained on (80 drawings)"), ("other_styles", "Two other styles (80)"))
    for style, title in titles:
        lines += [
            "",
            f"### {title}",
            "",
            "| method | cells | RGB, unseen | CIEDE2000, unseen | MAE, unseen | CIEDE2000, seen | change outside | mask IoU "
            "| texture kept |",
            "|---|---|---|---|---|---|---|---|---|",
        ]
        for arm, label in RECOLOUR:
            found = arms.get(arm, [])
            if not found:
                lines.append(f"| {label} | not run | | | | | | | |")
                continue
            lines.append(method_row(label, [c[style]["method"] for c in found]))
            if arm != "no_g2":
                lines.append(method_row(f"G1 of {arm}, nearest seen category", [c[style]["nearest"] for c in found]))
                lines.append(method_row(f"flat paint in the mask of {arm}", [c[style]["flat"] for c in found]))
        some = next(iter(arms.values()))[0]
        lines.append(method_row("identity", [some[style]["identity"]]))
    return [*lines, "", *recolour_verdicts(arms)]


def method_row(label: str, found: list[dict[str, float]]) -> str:
    """One line of a recolouring table."""
    keys = ("unseen_distance", "unseen_ciede2000", "unseen_truth_mae", "seen_ciede2000", "outside_change")
    columns = [[c[key] for c in found] for key in keys]
    columns += [[c[key] for c in found if key in c] for key in ("iou", "luminance_correlation")]
    return row(label, columns)


def recolour_verdicts(arms: dict[str, list[dict[str, Any]]]) -> list[str]:
    """Targets of the specification, each with the figure reached, on the trained style."""
    lines = ["| target (trained style) | reached | verdict |", "|---|---|---|"]
    for arm in (arm for arm, _ in RECOLOUR if arm != "no_g2"):
        found = [c["trained_style"] for c in arms.get(arm, [])]
        if not found:
            continue
        error = mean(c["method"]["unseen_distance"] for c in found)
        share = mean(c["method"]["unseen_truth_mae"] / c["identity"]["unseen_truth_mae"] for c in found)
        overlap = mean(c["method"]["iou"] for c in found)
        outside = mean(c["method"]["outside_change"] for c in found)
        kept = mean(c["method"]["luminance_correlation"] for c in found)
        ratio = mean(c["nearest"]["unseen_distance"] for c in found) / error
        lines += [
            verdict(f"{arm}: unseen colour error at most 0.12", error, error <= 0.12),
            verdict(f"{arm}: MAE at most 0.65 of identity's", share, share <= 0.65),
            verdict(f"{arm}: mask IoU at least 0.6", overlap, overlap >= 0.6),
            verdict(f"{arm}: change outside at most 0.01", outside, outside <= 0.01),
            verdict(f"{arm}: error of G1 alone at least 3 times as large", ratio, ratio >= 3),
            verdict(f"{arm}: texture correlation at least 0.7", kept, kept >= 0.7),
        ]
    if {"full", "no_g2"} <= set(arms):
        errors = [mean(c["trained_style"]["method"]["unseen_distance"] for c in arms[a]) for a in ("no_g2", "full")]
        ratio = errors[0] / errors[1]
        lines.append(verdict("error without G2 at least 3 times that of full", ratio, ratio >= 3))
    return lines


def verdict(target: str, value: float, reached: bool) -> str:
    return f"| {target} | {value:.3f} | {'reached' if reached else 'missed'} |"


def row(label: str, columns: list[list[float]]) -> str:
    count = max(map(len, columns))
    told = f"{count} of {SEEDS}" if count < SEEDS else str(count)
    return f"| {label} | {told} | {' | '.join(map(_value, columns))} |"


def _value(values: list[float]) -> str:
    if not values:
        return ""
    return f"{mean(values):.3f}" + (f" ± {stdev(values):.3f}" if len(values) > 1 else "")
