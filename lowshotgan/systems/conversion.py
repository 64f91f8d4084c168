"""From a checkpoint of another project to a system of the library."""

from typing import Any

from lowshotgan.checks import one_of
from lowshotgan.errors import ConfigError, WeightsFormatError
from lowshotgan.hub.convert import coco_funit, funit
from lowshotgan.hub.convert.reading import Converted, read_foreign
from lowshotgan.hub.tensors import load_strict
from lowshotgan.systems.base import System, make_config
from lowshotgan.systems.registry import ARCHS, system_class
from lowshotgan.types import PathLike

FORMATS = ("auto", "funit", "coco_funit")


def convert_file(
    source: PathLike,
    *,
    format: str = "auto",
    discriminator: PathLike | None = None,
    which: str | None = None,
    resolution: int | None = None,
) -> System:
    """Read a foreign checkpoint into a system; see ``api.convert_checkpoint``."""
    one_of("format", format, FORMATS)
    side = {} if resolution is None else {"resolution": resolution}
    if (format if format != "auto" else _format_of(source)) == "funit":
        return _build(funit.convert(source, discriminator=discriminator, which=which, **side), str(source))
    if discriminator is not None or which is not None:
        raise ConfigError("a COCO-FUNIT file holds both networks and its average; leave out discriminator and which.")
    return _build(coco_funit.convert(source, **side), str(source))


def _format_of(source: PathLike) -> str:
    stored = read_foreign(source)
    if funit.is_funit(stored) or "dis" in stored:
        return "funit"
    if coco_funit.is_coco_funit(stored):
        return "coco_funit"
    raise WeightsFormatError(
        f"{source} is of no known format; read are generators of NVlabs/FUNIT and COCO-FUNIT of NVlabs/imaginaire."
    )


def _build(converted: Converted, where: str) -> System:
    name, arguments = ARCHS[converted.arch]
    cls = system_class(name)
    model: Any = cls(make_config(cls, {**arguments, **converted.config}, where=where), arch=converted.arch)
    load_strict(model.generator, converted.generator, what=where)
    if converted.discriminator is None:
        model.discriminator = None
    else:
        load_strict(model.discriminator, converted.discriminator, what=f"{where}: discriminator")
    model.details = dict(converted.details)
    built: System = model.eval()
    return built
