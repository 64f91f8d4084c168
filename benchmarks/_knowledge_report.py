"""The page of ``knowledge.py``: tables of the finished cells, targets, verdicts, and what was not run."""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from _knowledge_report_recolour import heads_section, pack_section
from _knowledge_table import SEEDS, Cells, average, row, values, verdict

ARMS = (
    ("published", "`kggan_64.avatars_v1`, 64 px"),
    ("full", "full, 32 px"),
    ("no_semantic", "without the semantic losses, 32 px"),
    ("one_hot", "no knowledge (one-hot), 32 px"),
    ("one_hot_semantic", "one-hot with the semantic losses, 32 px"),
    ("full_hard", "full, hard split, 32 px"),
    ("no_semantic_hard", "without the semantic losses, hard split, 32 px"),
    ("open_world", "full, three categories never listed, 32 px"),
)
COLUMNS = (
    ("seen", ("seen", "joint")),
    ("unseen", ("unseen", "joint")),
    ("of them new colours", ("unseen_colours", "joint")),
    ("new pairs", ("unseen_pairs", "joint")),
    ("by another's vector", ("permuted", "joint")),
    ("never listed", ("never_listed", "joint")),
    ("KD seen", ("seen_kd",)),
    ("KD unseen", ("unseen_kd",)),
    ("border chroma seen", ("seen_border_chroma",)),
    ("unseen", ("unseen_border_chroma",)),
    ("diversity seen", ("seen_diversity",)),
    ("unseen", ("unseen_diversity",)),
)
TITLES = {
    "zero-shot": "faces without images of their category",
    "shapes": "coloured shapes",
    "embedding": "the embedding network alone",
    "recolour": "recoloured faces",
    "heads": "painted heads",
}
FACES = """\
56 categories (14 hair colours, 4 skin colours), 16 of them without images: all of two hair colours (ginger, purple) and
eight further pairs. A classifier trained on one half of all real images judges what is drawn; of the other half it reads
{judge} right. Chance is {chance:.1%}. KD: kernel distance to real images (`lsg1`, 400 images); those of unseen categories
are used for scoring only. *By another's vector*: each unseen category given the vector of its neighbour in the list, and
judged as that neighbour. *Border chroma*: mean difference of the strongest and the weakest channel in the outer 3 pixels.
*Diversity*: mean feature distance of two images of one category. The models at 32 px are trained for the comparison: 300
steps of warm-up and 200 adversarial steps, a small share of what the published one had."""
SHAPES = """\
Coloured shapes of our own on grey (`lowshotgan.data.shapes.coloured_shapes`), 4 shapes and 6 colours, six combinations
without images, 32 px, 1,500 steps without warm-up. Columns as above."""
EMBEDDING = """\
The same shapes; the embedding network alone, 3,000 steps. Share of other images whose reading is nearest to the vector of
their own category, among all 24."""


def page(folder: Path, parts: Mapping[str, Sequence[str]], *, beside: Path | None = None) -> str:
    """The Markdown page made of the cells in ``folder``; ``parts`` are the arms there are, by part.

    Sheets are linked if ``folder`` lies beside the page.
    """
    cells = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*-seed*.json"))]
    found = {part: by_arm(cells, part) for part in parts}
    machines = sorted({cell["machine"] for cell in cells})
    return "\n".join(
        [
            "# What knowledge is worth: KG-GAN",
            "",
            "Made by `benchmarks/knowledge.py`. Commands:",
            "",
            "```console",
            "$ python benchmarks/knowledge.py zero-shot --data avatars_adventurer_128.zip \\",
            "    --arms none --models published=weights/kggan_64.avatars_v1",
            "$ python benchmarks/knowledge.py zero-shot --data avatars_adventurer_128.zip --samples 10",
            "$ python benchmarks/knowledge.py recolour --data avatars_adventurer_128.zip --test hair_recolor_128.zip \\",
            "    --arms none --models published=weights/kggan_recolour_128.avatars_v1",
            "$ python benchmarks/knowledge.py shapes; python benchmarks/knowledge.py embedding",
            "$ python benchmarks/knowledge.py heads",
            "$ python benchmarks/knowledge.py report --page docs/benchmarks/knowledge.md",
            "```",
            "",
            *(f"Machine: {machine}." for machine in machines),
            "",
            "## Faces without images of their category",
            "",
            *zero_shot_section(found["zero-shot"], FACES, where="faces"),
            *sheets(folder, "zero-shot", beside),
            "",
            "## Shapes without images of their category",
            "",
            *zero_shot_section(found["shapes"], SHAPES, where="shapes"),
            *sheets(folder, "shapes", beside),
            "",
            "## The embedding network alone",
            "",
            *embedding_section(found["embedding"]),
            "",
            "## Colours without images",
            "",
            *pack_section(found["recolour"]),
            *sheets(folder, "recolour", beside),
            "",
            "## Colours without images: painted heads",
            "",
            *heads_section(found["heads"]),
            *sheets(folder, "heads", beside),
            "",
            "## Not run",
            "",
            *not_run(found, parts),
            "",
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
        reference = "real images of each category, and a classifier trained on others of them"
    else:
        ours, same = (cell["trained_style"][name] for name in ("method", "identity"))
        found = {
            "ciede2000_unseen": ours["unseen_ciede2000"],
            "ciede2000_unseen_identity": same["unseen_ciede2000"],
            "mae_unseen": ours["unseen_truth_mae"],
            "change_outside": ours["outside_change"],
            "mask_iou": ours["iou"],
        }
        reference = "true recolourings and masks of other drawings in the same style"
    told = {"reference": reference, "protocol": "benchmarks/knowledge.py"}
    return [{"name": name, "value": value, **told} for name, value in found.items()]


def by_arm(cells: list[dict[str, Any]], part: str) -> dict[str, list[dict[str, Any]]]:
    """Cells of one part by arm."""
    found = defaultdict(list)
    for cell in cells:
        if cell["part"] == part:
            found[cell["arm"]].append(cell)
    return dict(found)


def zero_shot_section(arms: Cells, text: str, *, where: str) -> list[str]:
    """Explanation, table and verdicts of faces or shapes."""
    if not arms:
        return [text, "", "Not run."] if where == "shapes" else ["Not run."]
    some = next(iter(arms.values()))[0]
    judge = ", ".join(f"{name} {share:.0%}" for name, share in some["judge"].items())
    told = text.format(judge=judge, chance=some["chance"]) if where == "faces" else text
    head = "| model | cells | " + " | ".join(name for name, _ in COLUMNS) + " |"
    lines = [told, "", head, "|---" * (len(COLUMNS) + 2) + "|"]
    for arm, label in ARMS:
        if arm in arms:
            lines.append(row(label, [values(arms[arm], *path) for _, path in COLUMNS]))
    return [*lines, "", *zero_shot_verdicts(arms, chroma=where == "shapes"), *what_the_losses_bring(arms)]


def what_the_losses_bring(arms: Cells) -> list[str]:
    """A sentence on the semantic losses, where they and their absence were both run."""
    full, without = (average(arms, arm, "unseen", "joint") for arm in ("full", "no_semantic"))
    if full is None or without is None:
        return []
    found = f"Unseen accuracy with the semantic losses less that without them: {full - without:+.3f}."
    if full - without >= 0.02:
        return ["", found]
    return ["", f"{found} In these runs they bring nothing measurable."]


def zero_shot_verdicts(arms: Cells, *, chroma: bool) -> list[str]:
    """Targets of the specification, each with the figure reached."""
    lines = ["| target | reached | verdict |", "|---|---|---|"]
    unseen = {arm: average(arms, arm, "unseen", "joint") for arm in arms}

    def compare(target: str, value: float | None, limit: float, *, most: bool = False) -> None:
        if value is not None:
            lines.append(verdict(target, value, value <= limit if most else value >= limit))

    def less(one: str, other: str) -> float | None:
        a, b = unseen.get(one), unseen.get(other)
        return None if a is None or b is None else a - b

    def ratio(arm: str, path: str, other: str, base: str | None = None) -> float | None:
        a, b = average(arms, arm, path), average(arms, base or arm, other)
        return None if a is None or b is None else a / max(b, 1e-6)

    for arm in ("published", "full"):
        compare(f"unseen joint accuracy of {arm} at least 0.85", unseen.get(arm), 0.85)
    compare("no knowledge: unseen at most 0.15", unseen.get("one_hot"), 0.15, most=True)
    compare("full above one_hot by at least 0.5", less("full", "one_hot"), 0.5)
    compare("one_hot_semantic above one_hot by at least 0.1", less("one_hot_semantic", "one_hot"), 0.1)
    compare("full above no_semantic by at least -0.02", less("full", "no_semantic"), -0.02)
    compare("full above no_semantic on the hard split by more than 0", less("full_hard", "no_semantic_hard"), 1e-6)
    opened, z1 = average(arms, "open_world", "never_listed", "joint"), unseen.get("full")
    if opened is not None and z1:
        compare("never listed at least 0.6 of unseen of full", opened / z1, 0.6)
    for arm in ("published", "full"):
        given, named = average(arms, arm, "permuted", "joint"), unseen.get(arm)
        if given is not None and named:
            compare(f"{arm}: by another's vector at least 0.8 of unseen", given / named, 0.8)
        compare(
            f"KD of unseen at most 1.5 times that of seen ({arm})", ratio(arm, "unseen_kd", "seen_kd"), 1.5, most=True
        )
        compare(
            f"diversity of unseen at least 0.7 of seen ({arm})", ratio(arm, "unseen_diversity", "seen_diversity"), 0.7
        )
    compare(
        "KD of seen at most 1.2 times that of one_hot", ratio("full", "seen_kd", "seen_kd", "one_hot"), 1.2, most=True
    )
    if chroma:
        found = ratio("full", "unseen_border_chroma", "seen_border_chroma")
        compare("border chroma of unseen at most 1.5 times that of seen", found, 1.5, most=True)
    return lines


def embedding_section(arms: Cells) -> list[str]:
    """Explanation, table and verdicts of E alone."""
    if not arms:
        return [EMBEDDING, "", "Not run."]
    lines = [EMBEDDING, "", "| embedding network | cells | seen | unseen |", "|---|---|---|---|"]
    labels = {"nuisance": "usual nuisances", "pooled": "none", "naive": "none, flattened layer"}
    lines += [
        row(label, [values(arms[arm], key) for key in ("seen", "unseen")])
        for arm, label in labels.items()
        if arm in arms
    ]
    lines += ["", "| target | reached | verdict |", "|---|---|---|"]
    for key, limit in (("seen", 0.98), ("unseen", 0.95)):
        found = average(arms, "nuisance", key)
        if found is not None:
            lines.append(verdict(f"usual nuisances: {key} at least {limit}", found, found >= limit))
    return lines


def sheets(folder: Path, part: str, page_at: Path | None) -> list[str]:
    """The pictures of seed 0 that lie beside the page."""
    if page_at is None or folder.resolve().parent != page_at.resolve().parent:
        return []
    found = sorted(folder.glob(f"{part}-*-seed0.png"))
    return [line for path in found for line in ("", f"![{path.stem}]({folder.name}/{path.name})")]


def not_run(found: Mapping[str, Cells], parts: Mapping[str, Sequence[str]]) -> list[str]:
    """A line for each part of which arms or seeds are missing, and what no script here can run."""
    lines = ["| what | why |", "|---|---|"]
    for part, arms in parts.items():
        missing = [arm for arm in arms if arm not in found[part]]
        if missing:
            lines.append(
                f"| {TITLES[part]} (`{part}`): {', '.join(missing)} | no cells yet; the script has them as arms |"
            )
    if any(len(cells) < SEEDS for arms in found.values() for cells in arms.values()):
        lines.append('| seeds beyond those in the column "cells" | time |')
    lines.append("| 6 x 8 x 2 shapes at 64 px, fruit photographs | no arm |")
    lines.append("| R6 (clothes) | no labelled clothes in the packs |")
    return [*lines, "| anything on a GPU, and the targets set for one | none was at hand |"]
