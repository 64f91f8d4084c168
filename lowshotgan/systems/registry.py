"""The literal tables of systems and architectures. Importing this file imports no torch."""

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

from lowshotgan.checks import one_of

if TYPE_CHECKING:
    from lowshotgan.systems.base import System

SYSTEMS: dict[str, str] = {
    "stylegan2": "lowshotgan.systems.stylegan2.system:StyleGAN2",
    "fastgan": "lowshotgan.systems.fastgan.system:FastGAN",
    "lado": "lowshotgan.systems.lado.system:LaDo",
    "genho": "lowshotgan.systems.genho.system:GenHo",
    "pfsgan": "lowshotgan.systems.pfsgan.system:PFSGAN",
    "kggan": "lowshotgan.systems.kggan.system:KGGAN",
    "syncgan": "lowshotgan.systems.syncgan.system:SyncGAN",
    "cond_syncgan": "lowshotgan.systems.syncgan.conditional:CondSyncGAN",
    "kggan_recolour": "lowshotgan.systems.kggan_recolour.system:KGGANRecolour",
    "funit": "lowshotgan.systems.funit.system:FUNIT",
    "coco_funit": "lowshotgan.systems.coco_funit.system:CocoFUNIT",
    "egscit": "lowshotgan.systems.egscit.system:EGSCIT",
}
"""System name -> the class that implements it."""

VERBS: dict[str, frozenset[str]] = {
    "stylegan2": frozenset({"generate", "interpolate", "project", "finetune", "train"}),
    "fastgan": frozenset({"generate", "interpolate", "train"}),
    "lado": frozenset({"generate", "finetune", "train"}),
    "genho": frozenset({"generate", "finetune", "train"}),
    "pfsgan": frozenset({"generate", "finetune", "train"}),
    "kggan": frozenset({"generate", "interpolate", "finetune", "train"}),
    "syncgan": frozenset({"generate", "transfer", "finetune", "train"}),
    "cond_syncgan": frozenset({"generate", "transfer", "train"}),
    "kggan_recolour": frozenset({"generate", "recolor", "finetune", "train"}),
    "funit": frozenset({"generate", "translate", "finetune", "train"}),
    "coco_funit": frozenset({"generate", "translate", "finetune", "train"}),
    "egscit": frozenset({"generate", "translate", "train"}),
}
"""System name -> what its models answer."""

_COMPACT = {"z_dim": 256, "w_dim": 256, "mapping_layers": 4}
_CONFIG_F = {"z_dim": 512, "w_dim": 512, "mapping_layers": 8, "channel_base": 32768, "channel_max": 512}
_KGGAN_SMALL = {"backbone": "plain", "z_dim": 64, "width": 56, "discriminator_width": 32}
_GREY_28 = ("first=image:1x28x28", "second=image:1x28x28")
_SPOKEN_32 = ("image=image:1x32x32", "audio=logmel:1x32x32@8000/400/200/512/60-3900")
_PHOTO_SKETCH_64 = ("photo=image:3x64x64", "sketch=image:1x64x64")
_SMALL_FUNIT = {"content_downs": 2, "class_downs": 3}
_FUNIT_32 = {"width": 12, "code_dim": 32, "mlp_width": 64, **_SMALL_FUNIT}
_FUNIT_32 |= {"discriminator_width": 12, "discriminator_blocks": 6, "discriminator_cap": 96}
_FUNIT_64 = {"width": 32, "code_dim": 64, "mlp_width": 128, **_SMALL_FUNIT}
_FUNIT_64 |= {"discriminator_width": 32, "discriminator_blocks": 8, "discriminator_cap": 256}
_COCO_32 = {"width": 12, "code_dim": 32, "mlp_width": 64, "bias_dim": 128, **_SMALL_FUNIT}
_COCO_32 |= {"discriminator_width": 12, "discriminator_stages": 3, "discriminator_cap": 96}
_COCO_64 = {"width": 32, "code_dim": 64, "mlp_width": 128, "bias_dim": 256, **_SMALL_FUNIT}
_COCO_64 |= {"discriminator_width": 32, "discriminator_stages": 4, "discriminator_cap": 256}

ARCHS: dict[str, tuple[str, Mapping[str, Any]]] = {
    "stylegan2_32": ("stylegan2", {"resolution": 32, "channel_base": 1536, "channel_max": 96, **_COMPACT}),
    "stylegan2_64": ("stylegan2", {"resolution": 64, "channel_base": 1536, "channel_max": 96, **_COMPACT}),
    "stylegan2_64_xs": ("stylegan2", {"resolution": 64, "channel_base": 2048, "channel_max": 64, **_COMPACT}),
    "stylegan2_64_s": ("stylegan2", {"resolution": 64, "channel_base": 4096, "channel_max": 128, **_COMPACT}),
    "stylegan2_128": ("stylegan2", {"resolution": 128, "channel_base": 4096, "channel_max": 128, **_COMPACT}),
    "stylegan2_256": ("stylegan2", {"resolution": 256, **_CONFIG_F}),
    "stylegan2_512": ("stylegan2", {"resolution": 512, **_CONFIG_F}),
    "stylegan2_1024": ("stylegan2", {"resolution": 1024, **_CONFIG_F}),
    "fastgan_32": ("fastgan", {"resolution": 32}),
    "fastgan_64": ("fastgan", {"resolution": 64}),
    "fastgan_128": ("fastgan", {"resolution": 128}),
    "fastgan_256": ("fastgan", {"resolution": 256}),
    "fastgan_512": ("fastgan", {"resolution": 512}),
    "fastgan_1024": ("fastgan", {"resolution": 1024}),
    "lado_32": ("lado", {"resolution": 32}),
    "lado_64": ("lado", {"resolution": 64}),
    "lado_128": ("lado", {"resolution": 128}),
    "lado_256": ("lado", {"resolution": 256}),
    "genho_32": ("genho", {"resolution": 32}),
    "genho_64": ("genho", {"resolution": 64}),
    "genho_128": ("genho", {"resolution": 128}),
    "genho_256": ("genho", {"resolution": 256}),
    "pfsgan_32": ("pfsgan", {"resolution": 32}),
    "pfsgan_64": ("pfsgan", {"resolution": 64}),
    "pfsgan_128": ("pfsgan", {"resolution": 128}),
    "pfsgan_256": ("pfsgan", {"resolution": 256}),
    "syncgan_28": ("syncgan", {"resolution": 28, "modalities": _GREY_28}),
    "syncgan_32": ("syncgan", {"resolution": 32, "modalities": _SPOKEN_32}),
    "syncgan_64": ("syncgan", {"resolution": 64, "modalities": _PHOTO_SKETCH_64}),
    "cond_syncgan_28": ("cond_syncgan", {"resolution": 28, "modalities": _GREY_28}),
    "cond_syncgan_64": (
        "cond_syncgan",
        {"resolution": 64, "modalities": ("sketch=image:1x64x64", "photo=image:3x64x64"), "synchronizer": "early"},
    ),
    "kggan_32": ("kggan", {"resolution": 32, **_KGGAN_SMALL}),
    "kggan_64": ("kggan", {"resolution": 64}),
    "kggan_recolour_64": ("kggan_recolour", {"resolution": 64}),
    "kggan_recolour_128": ("kggan_recolour", {"resolution": 128, "cell": 2, "discriminator_cell": 2}),
    "funit_32": ("funit", {"resolution": 32, **_FUNIT_32}),
    "funit_64": ("funit", {"resolution": 64, **_FUNIT_64}),
    "funit_128": ("funit", {"resolution": 128}),
    "coco_funit_32": ("coco_funit", {"resolution": 32, **_COCO_32}),
    "coco_funit_64": ("coco_funit", {"resolution": 64, **_COCO_64}),
    "coco_funit_256": ("coco_funit", {"resolution": 256}),
    "egscit_28": ("egscit", {"resolution": 28, "levels": 1}),
    "egscit_64": ("egscit", {"resolution": 64}),
    "egscit_128": ("egscit", {"resolution": 128}),
    "egscit_256": ("egscit", {"resolution": 256}),
    "egscit_256x512": ("egscit", {"resolution": 256, "image_width": 512}),
}
"""Architecture -> (system name, constructor arguments). ``create_model(..., **config)`` overrides single arguments."""

DEFAULT_MODEL = "stylegan2_64.avatars_v1"
"""What ``lowshotgan finetune`` starts from unless told otherwise."""


def system_class(name: str) -> "type[System]":
    """The class of a system by name.

    Raises:
        ConfigError: if there is no such system; the message names the closest one.
    """
    one_of("system", name, SYSTEMS)
    module, _, attribute = SYSTEMS[name].partition(":")
    found: type[System] = getattr(import_module(module), attribute)
    return found
