"""Checkpoints of NVlabs/FUNIT: ``gen_*.pt`` ("gen", "gen_test"), ``dis_*.pt`` ("dis"), or bare state dictionaries.

The conversion is a pure renaming. The weights are under CC BY-NC-SA 4.0; convert your own download.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from lowshotgan.checks import one_of
from lowshotgan.errors import ConfigError, WeightsFormatError
from lowshotgan.hub.convert.reading import Converted, Rule, highest, provenance, read_foreign, rename, tensors_of

SOURCE, LICENSE = "NVlabs/FUNIT", "CC-BY-NC-SA-4.0"
GENERATOR_RULES: list[Rule] = [
    (r"enc_class_model\.model\.0\.conv\.(\w+)", r"class_encoder.stem.\1"),
    (r"enc_class_model\.model\.(\d+)\.conv\.(\w+)", lambda m: f"class_encoder.down.{int(m[1]) - 1}.{m[2]}"),
    (r"enc_class_model\.model\.\d+\.(\w+)", r"class_encoder.head.\1"),
    (r"enc_content\.model\.0\.conv\.(\w+)", r"content_encoder.stem.conv.\1"),
    (r"enc_content\.model\.(\d+)\.conv\.(\w+)", lambda m: f"content_encoder.down.{int(m[1]) - 1}.conv.{m[2]}"),
    (
        r"enc_content\.model\.\d+\.model\.(\d+)\.model\.([01])\.conv\.(\w+)",
        lambda m: f"content_encoder.res.{m[1]}.conv{int(m[2]) + 1}.conv.{m[3]}",
    ),
    (
        r"dec\.model\.0\.model\.(\d+)\.model\.([01])\.conv\.(\w+)",
        lambda m: f"decoder.res.{m[1]}.conv{int(m[2]) + 1}.{m[3]}",
    ),
    (r"dec\.model\.(\d*[02468])\.conv\.(\w+)", lambda m: f"decoder.up.{int(m[1]) // 2 - 1}.{m[2]}"),
    (r"dec\.model\.\d*[13579]\.conv\.(\w+)", r"decoder.to_rgb.\1"),
    (r"mlp\.model\.(\d+)\.fc\.(\w+)", r"mlp.\1.\2"),
]
UNUSED = r".*\.running_(mean|var)"
"""Buffers of the adaptive normalisations, which the release never updates nor reads."""


def convert(
    path: str | Path, *, discriminator: str | Path | None = None, which: str | None = None, resolution: int = 128
) -> Converted:
    """Read a generator's checkpoint, and a discriminator's if given.

    Args:
        path: file with "gen_test", "gen" or a bare state dictionary of a generator.
        discriminator: file with "dis" or a bare state dictionary.
        which: "gen_test" (the average, the default where there is one) or "gen".
        resolution: side of the images it was trained on, which the file does not say.

    Raises:
        WeightsFormatError: if a file is unsafe, damaged or of another format.
        ConfigError: if ``which`` is not in the file.
    """
    state, which = _pick(read_foreign(path), path, which)
    tensors = tensors_of(state, str(path))
    config = generator_config(tensors, str(path)) | {"resolution": resolution}
    judge = None
    if discriminator is not None:
        stored = read_foreign(discriminator)
        found = tensors_of(stored.get("dis", stored), str(discriminator))
        config |= discriminator_config(found, str(discriminator))
        judge = rename(found, DISCRIMINATOR_RULES, drop=UNUSED, where=str(discriminator))
    note = "the released animal149_gen.pt has seen the paper's test classes"
    return Converted(
        "funit_128",
        config,
        rename(tensors, GENERATOR_RULES, drop=UNUSED, where=str(path)),
        judge,
        provenance(path, SOURCE, LICENSE, which=which, note=note),
    )


def generator_config(tensors: Mapping[str, Tensor], where: str) -> dict[str, Any]:
    """Constructor arguments that a generator's tensors imply."""
    content_downs = highest(tensors, r"enc_content\.model\.(\d+)\.conv\.weight", where)
    class_downs = highest(tensors, r"enc_class_model\.model\.(\d+)\.conv\.weight", where)
    res_blocks = 1 + highest(tensors, r"dec\.model\.0\.model\.(\d+)\.model\.0\.conv\.weight", where)
    mlp_layers = 1 + highest(tensors, r"mlp\.model\.(\d+)\.fc\.weight", where)
    first, stem = tensors.get("mlp.model.0.fc.weight"), tensors.get("enc_content.model.0.conv.weight")
    if first is None or stem is None:
        raise WeightsFormatError(f"{where} lacks the first layers of a generator; it is damaged or of another format.")
    last, width = tensors[f"mlp.model.{mlp_layers - 1}.fc.weight"], len(stem)
    if len(last) != 4 * res_blocks * width * 2**content_downs:
        raise WeightsFormatError(
            f"{where}: the MLP has {len(last)} outputs where {res_blocks} residual blocks of {width * 2**content_downs} "
            "channels need 4 for each channel and block; the file is damaged or of another format."
        )
    return {
        "width": width,
        "content_downs": content_downs,
        "class_downs": class_downs,
        "res_blocks": res_blocks,
        "code_dim": first.shape[1],
        "mlp_width": first.shape[0],
        "mlp_layers": mlp_layers,
    }


def discriminator_config(tensors: Mapping[str, Tensor], where: str) -> dict[str, Any]:
    """Constructor arguments that a discriminator's tensors imply; official weights need the official dialect."""
    last_block = highest(tensors, r"cnn_f\.(\d+)\.conv_0\.conv\.weight", where)
    head = tensors.get("cnn_c.0.conv.weight")
    if head is None or "cnn_f.0.conv.weight" not in tensors:
        raise WeightsFormatError(f"{where} lacks the first or last layer of a discriminator; it is of another format.")
    return {
        "num_classes": head.shape[0],
        "discriminator_width": len(tensors["cnn_f.0.conv.weight"]),
        "discriminator_blocks": 2 * (1 + (last_block - 2) // 4),
        "discriminator_cap": head.shape[1],
        "dialect": "official",
    }


def is_funit(stored: Mapping[str, Any]) -> bool:
    """Whether the content of a file looks like a generator of this format."""
    return bool({"gen", "gen_test"} & set(stored)) or any("enc_class_model." in str(name) for name in stored)


def _pick(stored: Mapping[str, Any], path: str | Path, which: str | None) -> tuple[Any, str]:
    present = [name for name in ("gen_test", "gen") if name in stored]
    if which is not None and present:
        one_of("which", which, present)
    elif which is not None and "dis" not in stored:
        raise ConfigError(f"{path} holds one generator without a name; leave out which={which!r}.")
    if present:
        chosen = which or present[0]
        return stored[chosen], chosen
    if "dis" in stored:
        raise WeightsFormatError(
            f"{path} holds a discriminator only; convert the generator's file and pass this one as discriminator=."
        )
    return stored, "state dictionary"


def _block(match: re.Match[str]) -> str:
    stage, second = divmod(int(match[1]) - 1, 4)
    return f"trunk.stage.{stage}.{second}"


DISCRIMINATOR_RULES: list[Rule] = [
    (r"cnn_f\.0\.conv\.(\w+)", r"trunk.stem.\1"),
    (r"cnn_f\.(\d+)\.conv_([01])\.conv\.(\w+)", lambda m: f"{_block(m)}.conv{m[2]}.{m[3]}"),
    (r"cnn_f\.(\d+)\.conv_s\.conv\.(\w+)", lambda m: f"{_block(m)}.shortcut.{m[2]}"),
    (r"cnn_c\.0\.conv\.(\w+)", r"head.\1"),
]
