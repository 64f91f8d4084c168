"""Model cards: ``README.md`` with the front matter the Hugging Face hub reads. Imports no torch."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lowshotgan.hub.manifest import WeightsEntry

TASK = "unconditional-image-generation"
OTHER_TASKS = dict.fromkeys(("funit", "coco_funit", "egscit", "kggan_recolour"), "image-to-image") | {"features": None}
"""What the Hugging Face hub lists an architecture under, by its name without the resolution, where that is not ``TASK``."""


SAMPLE = """
model.generate(16, truncation=0.8).grid().save("samples.png")
run = lsg.finetune(model, "my_ten_photos/", output_dir="runs/mine")
"""


@dataclass(frozen=True)
class Card:
    """What a card says.

    Attributes:
        name: title and repository name, for example ``stylegan2_64.avatars_v1``.
        arch: architecture, also a tag.
        load: the name or path as the reader passes it to ``create_model`` or ``from_pretrained``.
        published: whether ``name`` is in the library's manifest, so that ``create_model`` knows it.
        summary: one or two sentences.
        license: SPDX name for the weights; ``None`` if the author has not chosen one.
        base: what it was fine-tuned from.
        adapter: the repository holds a delta, not a whole model.
        shots: number of images it was fine-tuned on.
        data: sources, each with ``name`` and perhaps ``author``, ``license``, ``images``, ``url``.
        data_licenses: SPDX names of the training data.
        preprocessing: how training images were made.
        metrics: each with ``name``, ``value`` and perhaps ``std``, ``n``, ``reference``, ``protocol``.
        recipe: the file or recipe that trained it.
        history: sentences on how it was trained: steps, batch size, the base's revision.
        preview: file name of a picture beside the card.
        use: lines of Python that use ``model``; those of a model that samples unless given.
        notes: further text in Markdown: limits, uncurated samples.
    """

    name: str
    arch: str
    load: str
    published: bool = False
    summary: str = ""
    license: str | None = None
    base: str | None = None
    adapter: bool = False
    shots: int | None = None
    data: Sequence[Mapping[str, Any]] = ()
    data_licenses: Sequence[str] = ()
    preprocessing: Mapping[str, Any] = field(default_factory=dict)
    metrics: Sequence[Mapping[str, Any]] = ()
    recipe: str | None = None
    history: Sequence[str] = ()
    preview: str | None = None
    use: str | None = None
    notes: str = ""


def card_of_entry(entry: WeightsEntry, *, preview: str | None = None, notes: str = "", use: str | None = None) -> Card:
    """The card of published weights."""
    return Card(
        name=entry.name,
        arch=entry.arch,
        load=entry.name,
        published=True,
        summary=entry.summary,
        license=entry.licenses.weights,
        base=entry.base,
        data=entry.data,
        data_licenses=entry.licenses.data,
        preprocessing=entry.preprocessing,
        metrics=entry.metrics,
        recipe=entry.recipe,
        preview=preview,
        notes=notes,
        use=use,
    )


def render_card(card: Card) -> str:
    """The text of ``README.md``: front matter, then the sections that have something to say."""
    sections = [
        f"---\n{_front_matter(card)}---",
        f"# {card.name}",
        card.summary,
        f"![Samples from fixed seeds, not selected]({card.preview})" if card.preview else "",
        _use(card),
        _data(card),
        _metrics(card),
        _licence(card),
        card.notes.strip(),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _front_matter(card: Card) -> str:
    from huggingface_hub import ModelCardData

    tags = ["gan", "few-shot", "low-shot", card.arch]
    if card.shots is not None:
        tags.append(f"k-shot:{card.shots}")
    data = ModelCardData(
        library_name="lowshotgan",
        pipeline_tag=_task(card.arch),
        license=card.license.lower() if card.license else None,
        base_model=card.base if card.base and "/" in card.base else None,
        tags=tags,
        datasets=None,
        metrics=sorted({str(metric["name"]) for metric in card.metrics}) or None,
        model_name=card.name if card.metrics else None,
        eval_results=_results(card) or None,
    )
    if data.base_model:
        data["base_model_relation"] = "adapter" if card.adapter else "finetune"
    return data.to_yaml(line_break="\n") + "\n"


def _task(arch: str) -> str | None:
    return OTHER_TASKS.get(re.sub(r"_[\dx]+$", "", arch), TASK)


def _results(card: Card) -> list[Any]:
    from huggingface_hub import EvalResult

    return [
        EvalResult(
            task_type=_task(card.arch) or TASK,
            dataset_type="image-folder",
            dataset_name=str(metric.get("reference", "see card")),
            metric_type=str(metric["name"]),
            metric_name=_metric_title(metric),
            metric_value=metric["value"],
        )
        for metric in card.metrics
    ]


def _metric_title(metric: Mapping[str, Any]) -> str:
    details = [f"N = {metric['n']}"] if "n" in metric else []
    details += [f"protocol {metric['protocol']}"] if "protocol" in metric else []
    return f"{metric['name']} ({', '.join(details)})" if details else str(metric["name"])


def _use(card: Card) -> str:
    if card.arch.startswith("features"):
        return "The library loads this network by itself for perceptual distances and offline metrics."
    if card.adapter:
        return (
            f"## Use\n\nA delta: load the base model, {card.base or 'as named in adapter_config.json'}, then "
            f"apply it. It is tied to the base by a SHA-256 digest and refuses any other."
        )
    call = f'create_model("{card.load}", pretrained=True)' if card.published else f'load("{card.load}")'
    return f"## Use\n\n```python\nimport lowshotgan as lsg\n\nmodel = lsg.{call}\n{(card.use or SAMPLE).strip()}\n```"


def _data(card: Card) -> str:
    lines = ["## Training"]
    if card.base or card.shots is not None:
        shots = f" on {card.shots} image{'s' * (card.shots != 1)}" if card.shots is not None else ""
        lines.append(f"Fine-tuned{shots}" + (f" from `{card.base}`." if card.base else "."))
    if card.recipe:
        lines.append(f"Recipe: `{card.recipe}`.")
    if card.history:
        lines.append(" ".join(card.history))
    if card.data:
        rows = [[_source(row), row.get("author"), row.get("images"), row.get("license")] for row in card.data]
        lines.append(_table(["Data", "Author", "Images", "Licence"], rows))
    if card.preprocessing:
        listed = ", ".join(f"{key} {value}" for key, value in card.preprocessing.items())
        lines.append(f"Preprocessing: {listed}.")
    return "\n\n".join(lines) if len(lines) > 1 else ""


def _source(row: Mapping[str, Any]) -> str:
    return f"[{row['name']}]({row['url']})" if "url" in row else str(row["name"])


def _metrics(card: Card) -> str:
    if not card.metrics:
        return ""
    rows = [
        [
            metric["name"],
            f"{metric['value']:.4g}" + (f" ± {metric['std']:.2g}" if "std" in metric else ""),
            metric.get("n"),
            metric.get("reference"),
            f"`{metric['protocol']}`" if "protocol" in metric else None,
        ]
        for metric in card.metrics
    ]
    table = _table(["Metric", "Value", "N", "Reference", "Protocol"], rows)
    return f"## Measured\n\n{table}\n\nNumbers compare only with others of the same protocol."


def _licence(card: Card) -> str:
    if card.license is None:
        return ""
    trained = f" Training data: {', '.join(card.data_licenses)}." if card.data_licenses else ""
    return f"## Licence\n\nWeights: {card.license}.{trained} Code: Apache-2.0."


def _table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    cells = [
        head,
        ["---"] * len(head),
        *([("" if cell is None else str(cell)) for cell in row] for row in rows),
    ]
    return "\n".join("| " + " | ".join(row) + " |" for row in cells)
