"""Entry points for torch.hub: one for each architecture, and ``create_model``, ``list_models``,
``get_weight``.

    torch.hub.load("OWNER/lowshotgan:v0.1.0", "stylegan2_64", pretrained=True, trust_repo=True)

Always name a tag: the code of a branch may change. ``torch.hub.list`` shows every public callable of this
file, hence the leading underscores.
"""

from collections.abc import Callable as _Callable
from collections.abc import Iterator as _Iterator
from contextlib import contextmanager as _contextmanager
from typing import Any as _Any

import lowshotgan as _lowshotgan
from lowshotgan.hub.manifest import WeightsEntry as _WeightsEntry
from lowshotgan.hub.manifest import get_entry as _get_entry
from lowshotgan.systems.registry import ARCHS as _ARCHS

dependencies = [
    "torch",
    "torchvision",
    "huggingface_hub",
    "safetensors",
    "numpy",
    "PIL",
    "accelerate",
    "tqdm",
    "click",
]


def create_model(name: str, pretrained: bool = False, *, progress: bool = True, **options: _Any) -> _Any:
    """Build any model by name.

    Args:
        name: an architecture (``stylegan2_64``) or published weights (``stylegan2_64.avatars_v1``).
        pretrained: load the published weights; for an architecture its default ones.
        progress: show a bar while downloading.
        options: as for ``lowshotgan.create_model``.
    """
    with _bars(progress):
        return _lowshotgan.create_model(name, pretrained=pretrained, **options)


def list_models(pattern: str = "*", **options: _Any) -> list[str]:
    """Names of all models; options (``pretrained``, ``verb``, ``license``): ``lowshotgan.list_models``."""
    return list(_lowshotgan.list_models(pattern, **options))


def get_weight(name: str) -> _WeightsEntry:
    """What is published as ``<arch>.<tag>``: files, licences, data and scores."""
    return _get_entry(name)


@_contextmanager
def _bars(progress: bool) -> _Iterator[None]:
    from huggingface_hub.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    if progress or are_progress_bars_disabled():
        yield
        return
    disable_progress_bars()
    try:
        yield
    finally:
        enable_progress_bars()


def _entry_point(arch: str, system: str, config: _Any) -> _Callable[..., _Any]:
    def build(pretrained: bool = False, *, weights: str | None = None, progress: bool = True, **kwargs: _Any) -> _Any:
        with _bars(progress):
            return _lowshotgan.create_model(arch, pretrained=pretrained, weights=weights, **kwargs)

    build.__name__ = build.__qualname__ = arch
    build.__doc__ = f"""{system} at {config["resolution"]} x {config["resolution"]} pixels.

    Args:
        pretrained: load the default published weights, as ``weights="DEFAULT"``.
        weights: tag or full name of published weights.
        progress: show a bar while downloading.
        kwargs: constructor arguments that differ from {dict(config)},
            and options of ``lowshotgan.create_model``.
    """
    return build


globals().update({_arch: _entry_point(_arch, *_about) for _arch, _about in _ARCHS.items()})
