"""The recolouring half of ``knowledge.py``'s page: drawn faces of a pack, and painted heads."""

from _knowledge_table import Cells, average, row, values, verdict

ARMS = (
    ("published", "`kggan_recolour_128.avatars_v1`, 128 px"),
    ("full", "full"),
    ("no_g2", "trained without G2, nearest seen category"),
    ("no_cycle", "without the way back"),
    ("no_d", "without the discriminator"),
)
HEADER = """\
| method | cells | error, blue and pink | error, unseen | RGB distance, unseen | CIEDE2000, unseen | CIEDE2000, seen \
| MAE, blue and pink | seen category met | change outside | mask IoU | texture kept |
|---|---|---|---|---|---|---|---|---|---|---|---|"""
COLUMNS = (
    "target_error",
    "unseen_error",
    "unseen_distance",
    "unseen_ciede2000",
    "seen_ciede2000",
    "target_truth_mae",
    "seen_accuracy",
    "outside_change",
    "iou",
    "luminance_correlation",
)
PACK = """\
Trained on black, brown and blonde hair without masks; tested on other drawings, of which masks and true recolourings exist.
Unseen colours: ginger, blue, pink. Colour errors compare the mean colour inside the true mask with the colour asked for:
*error* is the mean absolute difference of the three channels in [0, 1], in which the targets are written, beside it the
distance in RGB and CIEDE2000. MAE compares all pixels with the true recolouring; change outside is the mean absolute change
where the true mask is 0. *Identity* changes nothing, *flat* paints the model's own mask evenly."""
HEADS = """\
Painted heads of our own (`lowshotgan.data.shapes.painted_heads`), 32 px, trained on black, brown and blond; tested on 60
others in red, green, blue, purple, cyan and pink, all of which count as target colours here. Errors as above; there are no
true recolourings in unseen colours."""


def pack_section(arms: Cells) -> list[str]:
    """Explanation, tables and verdicts of the drawn faces."""
    if not arms:
        return ["Not run."]
    lines = [PACK]
    for style, title in (
        ("trained_style", "The style trained on (80 drawings)"),
        ("other_styles", "Two other styles (80)"),
    ):
        lines += ["", f"### {title}", "", *table(arms, style)]
    return [*lines, "", *pack_verdicts(arms)]


def heads_section(arms: Cells) -> list[str]:
    """Explanation, table and verdicts of the painted heads."""
    if not arms:
        return [HEADS, "", "Not run."]
    lines = ["| target | reached | verdict |", "|---|---|---|"]
    targets = (
        ("unseen colour error at most 0.08", "unseen_error", 0.08),
        ("CIEDE2000 of unseen colours at most 20", "unseen_ciede2000", 20),
        ("change outside at most 0.01", "outside_change", 0.01),
        ("mask IoU at least 0.70", "iou", -0.70),
        ("seen category met at least 0.95", "seen_accuracy", -0.95),
        ("texture correlation at least 0.7", "luminance_correlation", -0.7),
    )
    for target, key, limit in targets:
        found = average(arms, "full", "trained_style", "method", key)
        if found is not None:
            lines.append(verdict(target, found, found >= -limit if limit < 0 else found <= limit))
    return [HEADS, "", *table(arms, "trained_style"), "", *lines, *ablations(arms)]


def table(arms: Cells, style: str) -> list[str]:
    """A line for each arm, and the simpler methods."""
    lines = [HEADER]
    for arm, label in ARMS:
        found = arms.get(arm, [])
        if not found:
            continue
        sized = label if "px" in label else f"{label}, {found[0]['resolution']} px"
        lines.append(line(sized, arms, arm, style, "method"))
        if arm in ("published", "full"):
            lines.append(line(f"G1 of {arm}, nearest seen category", arms, arm, style, "nearest"))
            lines.append(line(f"flat paint in the mask of {arm}", arms, arm, style, "flat"))
    some = next(iter(arms))
    return [*lines, line("identity", {some: arms[some][:1]}, some, style, "identity")]


def line(label: str, arms: Cells, arm: str, style: str, method: str) -> str:
    """One method's line."""
    return row(label, [values(arms[arm], style, method, key) for key in COLUMNS])


def pack_verdicts(arms: Cells) -> list[str]:
    """Targets of the specification, each with the figure reached, on the trained style."""
    lines = ["| target (trained style) | reached | verdict |", "|---|---|---|"]
    for arm in ("published", "full"):
        error = average(arms, arm, "trained_style", "method", "target_error")
        if error is None:
            continue

        def found(method: str, key: str, arm: str = arm) -> float:
            value = average(arms, arm, "trained_style", method, key)
            assert value is not None
            return value

        share = found("method", "target_truth_mae") / found("identity", "target_truth_mae")
        overlap, outside = found("method", "iou"), found("method", "outside_change")
        kept = found("method", "luminance_correlation")
        ratio = found("nearest", "unseen_error") / found("method", "unseen_error")
        lines += [
            verdict(f"{arm}: error on blue and pink at most 0.12", error, error <= 0.12),
            verdict(f"{arm}: MAE on blue and pink at most 0.65 of identity's", share, share <= 0.65),
            verdict(f"{arm}: mask IoU at least 0.6", overlap, overlap >= 0.6),
            verdict(f"{arm}: change outside at most 0.01", outside, outside <= 0.01),
            verdict(f"{arm}: error of G1 alone at least 3 times as large", ratio, ratio >= 3),
            verdict(f"{arm}: texture correlation at least 0.7", kept, kept >= 0.7),
        ]
    return lines + ablations(arms)


def ablations(arms: Cells) -> list[str]:
    """Targets of the arms that leave something out, where they and the full one were run."""
    error, overlap = (average(arms, "full", "trained_style", "method", key) for key in ("unseen_error", "iou"))
    lines = []
    without = average(arms, "no_g2", "trained_style", "method", "unseen_error")
    if without is not None and error is not None:
        lines.append(verdict("error without G2 at least 3 times that of full", without / error, without >= 3 * error))
    blind = average(arms, "no_d", "trained_style", "method", "iou")
    if blind is not None and overlap is not None:
        lines.append(verdict("mask IoU without D less than that of full, by", overlap - blind, blind < overlap))
    return lines
