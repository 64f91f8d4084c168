"""COCO-FUNIT checkpoints of NVlabs/imaginaire: ``{"net_G": ..., "net_D": ...}``, as its released code writes them.

The conversion is a pure renaming. Imaginaire's licence allows non-commercial use only; convert your own download.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from lowshotgan.errors import WeightsFormatError
from lowshotgan.hub.convert.reading import Converted, Rule, highest, provenance, read_foreign, rename, tensors_of

SOURCE, LICENSE = "NVlabs/imaginaire", "NVIDIA Source Code License (non-commercial)"
PREFIXES = ("averaged_model.generator.", "module.generator.", "generator.", "")
"""Where a generator's tensors are, best first: the average, the live weights, a bare state dictionary."""
NORM = r"norm\.fc\.layers\.conv"


def convert(path: str | Path, *, resolution: int = 256) -> Converted:
    """Read a checkpoint.

    Args:
        path: the downloaded file.
        resolution: side of the images it was trained on, which the file does not say.

    Raises:
        WeightsFormatError: if the file is unsafe, damaged or of another format.
    """
    stored = read_foreign(path)
    tensors, prefix = _generator(tensors_of(stored.get("net_G", stored), str(path)), str(path))
    config = generator_config(tensors, str(path)) | {"resolution": resolution}
    generator = rename(
        tensors,
        _generator_rules(config["content_downs"], config["res_blocks"]),
        drop=r"num_updates_tracked",
        where=str(path),
    )
    judge = None
    if "net_D" in stored:
        found = _discriminator(tensors_of(stored["net_D"], str(path)))
        config |= discriminator_config(found, str(path))
        judge = rename(found, DISCRIMINATOR_RULES, drop=r"num_updates_tracked", where=str(path))
    which = "average" if prefix.startswith("averaged") else "live"
    return Converted("coco_funit_256", config, generator, judge, provenance(path, SOURCE, LICENSE, which=which))


def generator_config(tensors: Mapping[str, Tensor], where: str) -> dict[str, Any]:
    """Constructor arguments that a generator's tensors imply."""
    content_downs = highest(tensors, r"content_encoder\.model\.(\d+)\.layers\.conv\.weight", where)
    class_downs = highest(tensors, r"style_encoder\.model\.(\d+)\.layers\.conv\.weight", where)
    last_res = highest(tensors, r"content_encoder\.model\.(\d+)\.conv_block_0\.layers\.conv\.weight", where)
    style = tensors.get("mlp.model.0.layers.conv.weight")
    if style is None or "content_encoder.model.0.layers.conv.weight" not in tensors:
        raise WeightsFormatError(f"{where} lacks the first layers of a generator; it is of another format.")
    return {
        "width": len(tensors["content_encoder.model.0.layers.conv.weight"]),
        "content_downs": content_downs,
        "class_downs": class_downs,
        "res_blocks": last_res - content_downs,
        "code_dim": style.shape[1],
        "mlp_width": style.shape[0],
        "bias_dim": tensors["usb"].shape[1] if "usb" in tensors else 0,
        "content_aware": "mlp_content.model.0.layers.conv.weight" in tensors,
    }


def discriminator_config(tensors: Mapping[str, Tensor], where: str) -> dict[str, Any]:
    """Constructor arguments that a discriminator's tensors imply."""
    last_block = highest(tensors, r"model\.(\d+)\.conv_block_0\.layers\.conv\.weight_orig", where)
    if "embedder.weight" not in tensors or "model.0.layers.conv.weight_orig" not in tensors:
        raise WeightsFormatError(f"{where} lacks the first or last layer of a discriminator; it is of another format.")
    return {
        "num_classes": tensors["embedder.weight"].shape[0],
        "discriminator_width": len(tensors["model.0.layers.conv.weight_orig"]),
        "discriminator_stages": 1 + (last_block - 2) // 4,
        "discriminator_cap": tensors["embedder.weight"].shape[1],
    }


def is_coco_funit(stored: Mapping[str, Any]) -> bool:
    """Whether the content of a file looks like one of this format."""
    return "net_G" in stored or any("style_encoder.model." in str(name) for name in stored)


def _generator(tensors: Mapping[str, Tensor], where: str) -> tuple[dict[str, Tensor], str]:
    for prefix in PREFIXES:
        if f"{prefix}content_encoder.model.0.layers.conv.weight" in tensors:
            return {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}, prefix
    raise WeightsFormatError(f"{where} holds no generator of COCO-FUNIT; it is of another format.")


def _discriminator(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors by their names within the network, which the release wraps as ``model``."""
    wrapped = "model.embedder.weight" in tensors
    return {name.removeprefix("model.") if wrapped else name: tensor for name, tensor in tensors.items()}


def _generator_rules(content_downs: int, res_blocks: int) -> list[Rule]:
    def decoder(match: re.Match[str], part: str) -> str:
        index, block = int(match[1]), match[2]
        if index < res_blocks:
            return f"decoder.res.{index}.conv{block}.{part}.{match[3]}"
        name = "shortcut" if block == "s" else f"conv{block}"
        return f"decoder.up.{index - res_blocks}.{name}.{part}.{match[3]}"

    def content_res(match: re.Match[str]) -> str:
        index = int(match[1]) - content_downs - 1
        return f"content_encoder.res.{index}.conv{int(match[2]) + 1}.{match[3]}.{match[4]}"

    def down(match: re.Match[str], encoder: str) -> str:
        index, rest = int(match[1]), match[2]
        return f"{encoder}.stem.{rest}" if index == 0 else f"{encoder}.down.{index - 1}.{rest}"

    return [
        (r"usb", "style_bias"),
        (r"style_encoder\.model\.(\d+)\.layers\.conv\.(\w+)", lambda m: down(m, "style_encoder")),
        (r"style_encoder\.model\.\d+\.(\w+)", r"style_encoder.head.\1"),
        (r"content_encoder\.model\.(\d+)\.layers\.((?:conv|norm)\.\w+)", lambda m: down(m, "content_encoder")),
        (r"content_encoder\.model\.(\d+)\.conv_block_([01])\.layers\.(conv|norm)\.(\w+)", content_res),
        (r"decoder\.decoder\.(\d+)\.conv_block_([01s])\.layers\.conv\.(\w+)", lambda m: decoder(m, "conv")),
        (rf"decoder\.decoder\.(\d+)\.conv_block_([01s])\.layers\.{NORM}\.(\w+)", lambda m: decoder(m, "affine")),
        (r"decoder\.decoder\.\d+\.layers\.conv\.(\w+)", r"decoder.to_rgb.\1"),
        (r"(mlp|mlp_content|mlp_style)\.model\.(\d+)\.layers\.conv\.(\w+)", r"\1.layers.\2.\3"),
    ]


def _judge_layer(match: re.Match[str], layer: str) -> str:
    """A tensor of a spectrally normalised convolution."""
    kinds = {"weight_orig": "weight.original", "weight_u": "weight.0._u", "weight_v": "weight.0._v"}
    kind = match[match.lastindex or 0]
    return f"{layer}.bias" if kind == "bias" else f"{layer}.parametrizations.{kinds[kind]}"


def _judge_block(match: re.Match[str]) -> str:
    stage, second = divmod(int(match[1]) - 1, 4)
    name = "shortcut" if match[2] == "s" else f"conv{match[2]}"
    return _judge_layer(match, f"trunk.stage.{stage}.{second}.{name}")


KINDS = r"(weight_orig|weight_u|weight_v|bias)"
DISCRIMINATOR_RULES: list[Rule] = [
    (rf"model\.0\.layers\.conv\.{KINDS}", lambda m: _judge_layer(m, "trunk.stem")),
    (rf"model\.(\d+)\.conv_block_([01s])\.layers\.conv\.{KINDS}", _judge_block),
    (rf"classifier\.layers\.conv\.{KINDS}", lambda m: _judge_layer(m, "head")),
    (r"embedder\.weight", "embedding.weight"),
]
