"""Networks that turn images into embeddings, and the names their scores may carry.

``FID`` and ``KID`` are reserved for Inception-v3 with the reference weights and a named resize; with any
other network the scores are called ``FD-<name>`` and ``KD-<name>``. Nothing is ever downloaded silently:
``auto`` takes, in this order, the reference Inception file if the user put it into a folder of
``LOWSHOTGAN_WEIGHTS_DIR``, the extractor the user registered, and the library's own network ``lsg1``.
"""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from lowshotgan.checks import one_of
from lowshotgan.errors import ConfigError, WeightsFormatError
from lowshotgan.hub.files import CONFIG, MODEL, read_config
from lowshotgan.hub.remote import resolve
from lowshotgan.hub.tensors import load_strict, read_tensors, state_digest
from lowshotgan.metrics.inception import REFERENCE_FILE, load_inception
from lowshotgan.metrics.perceptual import batches
from lowshotgan.metrics.random_vgg import RandomVGG11
from lowshotgan.metrics.resize import RESIZES
from lowshotgan.nets.features import FeatureNet

PREPROCESSING = 1
"""Version of everything between uint8 images and a network's input; part of every protocol."""

SHIPPED = "features_64.lsg1"
RESERVED = ("fid", "kid", "inception", "lpips", "lsg1")
_REGISTERED: list["Extractor"] = []


@dataclass(frozen=True)
class Extractor:
    """A frozen network with everything that decides its scores.

    Attributes:
        name: as printed in the names of scores.
        fingerprint: first 8 hexadecimal digits of the SHA-256 of the weights (their values, for Inception the file).
        net: from ``(B, 3, size, size)`` to embeddings ``(B, dim)``; its method ``maps``, if it has one, gives
            the maps of the perceptual distance.
        dim: values in an embedding.
        size: input size in pixels.
        resize: key of ``resize.RESIZES``.
        scale: inputs are ``(level - scale) / scale`` for levels 0 to 255, so 127.5 means [-1, 1].
        reference: whether the reserved names apply.
    """

    name: str
    fingerprint: str
    net: nn.Module
    dim: int
    size: int
    resize: str = "bilinear-antialias"
    scale: float = 127.5
    reference: bool = False

    def __post_init__(self) -> None:
        one_of("resize", self.resize, RESIZES)

    @torch.no_grad()
    def __call__(self, images: Tensor, *, batch_size: int = 64) -> Tensor:
        """Embeddings ``(N, dim)``, float32 on the CPU, of uint8 images ``(N, 3, H, W)``.

        Raises:
            ConfigError: if the images are not uint8 ``(N, 3, H, W)``, or the network does not return ``(B,
                dim)``.
        """
        parts: list[Tensor] = [
            self.net(self.prepare(part)).float().cpu() for part in batches(check_images(images), batch_size)
        ]
        if parts[0].shape[1:] != (self.dim,):
            raise ConfigError(f"{self.name} returned {tuple(parts[0].shape)}; an extractor returns (B, {self.dim}).")
        return torch.cat(parts)

    @torch.no_grad()
    def maps(self, images: Tensor) -> list[Tensor]:
        """Maps ``(B, C, h, w)`` of several scales, float32 on the CPU, of uint8 images ``(B, 3, H, W)``.

        Raises:
            ConfigError: if the network has no method ``maps``.
        """
        if not self.has_maps:
            raise ConfigError(
                f"the network of {self.name} has no method maps(images), which perceptual distances need; "
                "give it one, or use extractor='lsg1'."
            )
        found: Sequence[Tensor] = self.net.maps(self.prepare(check_images(images)))  # type: ignore[operator]
        return [one.float().cpu() for one in found]

    @property
    def has_maps(self) -> bool:
        return callable(getattr(self.net, "maps", None))

    def prepare(self, images: Tensor) -> Tensor:
        """Network input ``(B, 3, size, size)`` of uint8 images ``(B, 3, H, W)``, on the network's device."""
        device = next((p.device for p in self.net.parameters()), torch.device("cpu"))
        levels = images.to(device).float()
        if levels.shape[-2:] != (self.size, self.size):
            levels = RESIZES[self.resize](levels, self.size)
        return (levels - self.scale) / self.scale

    @property
    def frechet_name(self) -> str:
        return f"FID ({self.resize})" if self.reference else f"FD-{self.name}"

    @property
    def kernel_name(self) -> str:
        return f"KID ({self.resize})" if self.reference else f"KD-{self.name}"

    @property
    def perceptual_name(self) -> str:
        return f"PD-{self.name}"


def load_extractor(
    extractor: "str | Extractor | nn.Module" = "auto",
    *,
    path: str | Path | None = None,
    resize: str = "tf-bilinear",
    device: str | torch.device = "cpu",
    allow_download: bool = False,
    with_maps: bool = False,
) -> Extractor:
    """The extractor called so.

    Args:
        extractor: ``"auto"``, ``"lsg1"``, ``"inception"``, ``"rand-vgg11-s<seed>"``, the name of a registered
            one, an ``Extractor``, or a module from ``(B, 3, 64, 64)`` in [-1, 1] to ``(B, D)``.
        path: file of the reference Inception weights, for ``"inception"`` and ``"auto"``.
        resize: ``"tf-bilinear"`` or ``"antialias"``, for Inception.
        device: where the network runs.
        allow_download: let ``lsg1`` be fetched if it is not on this disk.
        with_maps: ``"auto"`` passes over registered extractors without maps, which perceptual distances need.

    Raises:
        WeightsNotFoundError: if the weights are in none of the places searched.
        WeightsFormatError: if the weights do not fit the network.
        WeightsHashError: if a file is not the published one.
        ConfigError: if there is no extractor of that name.
    """
    if isinstance(extractor, Extractor):
        return extractor
    if isinstance(extractor, nn.Module):
        return extractor_from_module(extractor, name=_plain_name(type(extractor).__name__))
    if extractor == "auto":
        return _auto(path, resize, device, allow_download, with_maps)
    registered = {one.name: one for one in _REGISTERED}
    if extractor in registered:
        return registered[extractor]
    if match := re.fullmatch(r"rand-vgg11-s(\d+)", extractor):
        return _random_vgg11(int(match[1]), device)
    one_of("extractor", extractor, ["auto", "lsg1", "inception", "rand-vgg11-s0", *registered])
    return _inception(path, resize, device) if extractor == "inception" else _shipped(device, allow_download)


def extractor_from_module(
    net: nn.Module, *, name: str, size: int = 64, resize: str = "bilinear-antialias"
) -> Extractor:
    """Wrap a network from ``(B, 3, size, size)`` in [-1, 1] to ``(B, D)``; it is put into evaluation mode.

    Raises:
        ConfigError: if the name is not plain or is a reserved one, or the network does not return ``(B, D)``.
    """
    lowered = name.lower()
    if not re.fullmatch(r"[\w.-]+", name) or any(word in lowered for word in RESERVED):
        raise ConfigError(
            f"the name must be letters, digits, dots, dashes and none of {', '.join(RESERVED)}; got {name!r}."
        )
    net.eval()
    device = next((p.device for p in net.parameters()), torch.device("cpu"))
    with torch.no_grad():
        out = net(torch.zeros(2, 3, size, size, device=device))
    if not isinstance(out, Tensor) or out.ndim != 2 or len(out) != 2:
        raise ConfigError(f"{name} must turn (B, 3, {size}, {size}) into (B, D); pool its output first.")
    return Extractor(name, state_digest(net.state_dict())[:8], net, dim=out.shape[1], size=size, resize=resize)


def register_extractor(extractor: Extractor) -> None:
    """Make an extractor known by its name and the choice of ``"auto"``; the last one registered leads."""
    _REGISTERED[:] = [extractor, *(one for one in _REGISTERED if one.name != extractor.name)]


def check_images(images: Tensor) -> Tensor:
    """Return ``images`` if they are uint8 ``(N, 3, H, W)``, else raise ``ConfigError``."""
    if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[1] != 3:
        raise ConfigError(
            f"metrics take uint8 images (N, 3, H, W), got {images.dtype} {tuple(images.shape)}; "
            "convert floats in [-1, 1] with lowshotgan.data.images.to_uint8."
        )
    return images


def _auto(
    path: str | Path | None, resize: str, device: str | torch.device, allow_download: bool, with_maps: bool
) -> Extractor:
    if path is not None or _configured_inception() is not None:
        return _inception(path, resize, device)
    fit = [one for one in _REGISTERED if one.has_maps or not with_maps]
    return fit[0] if fit else _shipped(device, allow_download)


def _configured_inception() -> Path | None:
    folders = filter(None, os.environ.get("LOWSHOTGAN_WEIGHTS_DIR", "").split(os.pathsep))
    return next((Path(f) / REFERENCE_FILE for f in folders if (Path(f) / REFERENCE_FILE).is_file()), None)


def _inception(path: str | Path | None, resize: str, device: str | torch.device) -> Extractor:
    one_of("resize", resize, ["tf-bilinear", "antialias"])
    found = path or _configured_inception()
    if found is None:
        raise ConfigError(
            f"the reference Inception weights are not shipped; pass path='.../{REFERENCE_FILE}' or put that "
            "file into a folder of LOWSHOTGAN_WEIGHTS_DIR. Or use extractor='lsg1' (FD-lsg1, KD-lsg1)."
        )
    net, digest = load_inception(found)
    return Extractor("inception", digest[:8], net.to(device), net.dim, 299, resize, scale=128.0, reference=True)


def _shipped(device: str | torch.device, allow_download: bool) -> Extractor:
    weights = resolve(SHIPPED, filename=MODEL, local_files_only=not allow_download)
    folder = resolve(SHIPPED, filename=CONFIG, local_files_only=not allow_download).parent
    try:
        net = FeatureNet(**read_config(folder)["config"])
    except TypeError as error:
        raise WeightsFormatError(f"{folder / CONFIG} is no FeatureNet's ({error}); fetch it again.") from error
    load_strict(net, read_tensors(weights), what=str(weights))
    net.to(device).eval().requires_grad_(False)
    return Extractor("lsg1", state_digest(net.state_dict())[:8], net, dim=net.dim, size=64)


def _random_vgg11(seed: int, device: str | torch.device) -> Extractor:
    net = RandomVGG11(seed).to(device).eval().requires_grad_(False)
    return Extractor(f"rand-vgg11-s{seed}", state_digest(net.state_dict())[:8], net, dim=512, size=64)


def _plain_name(name: str) -> str:
    return re.sub(r"[^\w.-]", "-", name)
