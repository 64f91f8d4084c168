"""Inception-v3 as the reference scores use it, for weights the user brings.

    (B, 3, 299, 299) in [-1, 1] -> stem -> 3 x A -> B -> 4 x C -> D -> 2 x E -> mean (B, 2048)

Szegedy et al., CVPR 2016, with the pooling of the TensorFlow graph of 2015-12-05: average pooling leaves the
padding out of its mean, and the last block pools by maximum. Parameter names are those of torchvision's
``inception_v3``, so the published PyTorch port of that graph (1008 classes) loads as it is, without its class
head.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lowshotgan.errors import WeightsFormatError, WeightsHashError, WeightsNotFoundError
from lowshotgan.hub.digest import sha256_file
from lowshotgan.hub.tensors import load_strict, read_tensors

REFERENCE_FILE = "pt_inception-2015-12-05-6726825d.pth"
"""Usual file name of the published PyTorch port; it ends in the first digits of the file's SHA-256."""
REFERENCE_SHA = "6726825d"

Size = int | tuple[int, int]


class InceptionV3(nn.Module):
    """The feature part of the network, for images of at least 75 px in [-1, 1]."""

    dim = 2048

    def __init__(self) -> None:
        super().__init__()
        width = 3
        for name, conv in _STEM.items():
            self.add_module(name, ConvUnit(width, conv))
            width = conv.channels
        for name, branches in _blocks():
            block = Block(width, branches)
            self.add_module(name, block)
            width = block.width

    def forward(self, images: Tensor) -> Tensor:
        """Embeddings ``(B, 2048)`` of images ``(B, 3, H, W)`` in [-1, 1]."""
        return self.maps(images)[-1].mean(dim=(2, 3))

    def maps(self, images: Tensor) -> list[Tensor]:
        """Maps with 64, 192, 768 and 2048 channels of images ``(B, 3, H, W)`` in [-1, 1]."""
        x, found = images, []
        for name, module in self.named_children():
            if name in ("Conv2d_3b_1x1", "Mixed_5b", "Mixed_7a"):
                found.append(x)
            if name in ("Conv2d_3b_1x1", "Mixed_5b"):
                x = F.max_pool2d(x, kernel_size=3, stride=2)
            x = module(x)
        return [*found, x]


class Conv(NamedTuple):
    channels: int
    kernel: Size = 1
    stride: int = 1
    padding: Size = 0


@dataclass(frozen=True)
class Branch:
    """One path through a block: perhaps pooling, named convolutions in a row, perhaps a fork in two."""

    convs: Mapping[str, Conv]
    fork: Mapping[str, Conv] | None = None
    pool: str = ""


class Block(nn.Module):
    """Parallel branches joined along channels: ``(B, before, H, W) -> (B, width, h, w)``."""

    def __init__(self, before: int, branches: list[Branch]) -> None:
        super().__init__()
        self.branches = branches
        self.width = 0
        for branch in branches:
            width = before
            for name, conv in branch.convs.items():
                self.add_module(name, ConvUnit(width, conv))
                width = conv.channels
            for name, conv in (branch.fork or {}).items():
                self.add_module(name, ConvUnit(width, conv))
            self.width += sum(conv.channels for conv in branch.fork.values()) if branch.fork else width

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([part for branch in self.branches for part in self._run(branch, x)], dim=1)

    def _run(self, branch: Branch, x: Tensor) -> list[Tensor]:
        x = _POOL[branch.pool](x)
        for name in branch.convs:
            x = self.get_submodule(name)(x)
        return [self.get_submodule(name)(x) for name in branch.fork] if branch.fork else [x]


class ConvUnit(nn.Module):
    """Convolution, batch normalisation (eps 1e-3), ReLU."""

    def __init__(self, before: int, conv: Conv) -> None:
        super().__init__()
        channels, kernel, stride, padding = conv
        self.conv = nn.Conv2d(before, channels, kernel, stride=stride, padding=padding, bias=False)
        self.bn = nn.BatchNorm2d(channels, eps=0.001)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv(x)), inplace=True)


def load_inception(path: str | Path) -> tuple[InceptionV3, str]:
    """The network with the reference weights, and the SHA-256 of their file.

    Args:
        path: the user's copy of the published port (``REFERENCE_FILE``), read with weights-only loading.

    Raises:
        WeightsNotFoundError: if there is no such file.
        WeightsHashError: if the file is not the published one; its scores may not carry the reserved names.
        WeightsFormatError: if its tensors do not fit.
    """
    path = Path(path)
    if not path.is_file():
        raise WeightsNotFoundError(f"{path} is not a file; give the path of {REFERENCE_FILE}.")
    digest = sha256_file(path)
    if not digest.startswith(REFERENCE_SHA):
        raise WeightsHashError(
            f"{path} has SHA-256 {digest[:16]}..., the reference begins with {REFERENCE_SHA}; FID and KID "
            "are only reported with that. Fetch the file again, or pass your own network as extractor=module."
        )
    return _with_weights(_read(path), what=str(path)), digest


def _with_weights(tensors: Mapping[str, Tensor], *, what: str) -> InceptionV3:
    net = InceptionV3()
    unused = ("fc.", "AuxLogits.")
    load_strict(net, {k: v for k, v in tensors.items() if not k.startswith(unused)}, what=what)
    return net.eval().requires_grad_(False)


def _read(path: Path) -> dict[str, Tensor]:
    if path.suffix == ".safetensors":
        return read_tensors(path)
    loaded = torch.load(path, map_location="cpu", weights_only=True)
    if not isinstance(loaded, dict) or not all(isinstance(value, Tensor) for value in loaded.values()):
        raise WeightsFormatError(f"{path} does not hold a plain dictionary of tensors; fetch the file again.")
    return loaded


_STEM = {
    "Conv2d_1a_3x3": Conv(32, 3, 2),
    "Conv2d_2a_3x3": Conv(32, 3),
    "Conv2d_2b_3x3": Conv(64, 3, 1, 1),
    "Conv2d_3b_1x1": Conv(80),
    "Conv2d_4a_3x3": Conv(192, 3),
}

_POOL: dict[str, Callable[[Tensor], Tensor]] = {
    "": lambda x: x,
    "average": lambda x: F.avg_pool2d(x, kernel_size=3, stride=1, padding=1, count_include_pad=False),
    "max": lambda x: F.max_pool2d(x, kernel_size=3, stride=1, padding=1),
    "reduce": lambda x: F.max_pool2d(x, kernel_size=3, stride=2),
}


def _blocks() -> Iterator[tuple[str, list[Branch]]]:
    for name, pooled in (("5b", 32), ("5c", 64), ("5d", 64)):
        yield f"Mixed_{name}", _block_a(pooled)
    yield "Mixed_6a", _block_b()
    for name, inner in (("6b", 128), ("6c", 160), ("6d", 160), ("6e", 192)):
        yield f"Mixed_{name}", _block_c(inner)
    yield "Mixed_7a", _block_d()
    for name, pool in (("7b", "average"), ("7c", "max")):
        yield f"Mixed_{name}", _block_e(pool)


def _block_a(pooled: int) -> list[Branch]:
    double = {
        "branch3x3dbl_1": Conv(64),
        "branch3x3dbl_2": Conv(96, 3, 1, 1),
        "branch3x3dbl_3": Conv(96, 3, 1, 1),
    }
    return [
        Branch({"branch1x1": Conv(64)}),
        Branch({"branch5x5_1": Conv(48), "branch5x5_2": Conv(64, 5, 1, 2)}),
        Branch(double),
        Branch({"branch_pool": Conv(pooled)}, pool="average"),
    ]


def _block_b() -> list[Branch]:
    double = {
        "branch3x3dbl_1": Conv(64),
        "branch3x3dbl_2": Conv(96, 3, 1, 1),
        "branch3x3dbl_3": Conv(96, 3, 2),
    }
    return [Branch({"branch3x3": Conv(384, 3, 2)}), Branch(double), Branch({}, pool="reduce")]


def _block_c(inner: int) -> list[Branch]:
    single = {"branch7x7_1": Conv(inner), "branch7x7_2": _row(inner), "branch7x7_3": _column(192)}
    double = {
        "branch7x7dbl_1": Conv(inner),
        "branch7x7dbl_2": _column(inner),
        "branch7x7dbl_3": _row(inner),
        "branch7x7dbl_4": _column(inner),
        "branch7x7dbl_5": _row(192),
    }
    pooled = Branch({"branch_pool": Conv(192)}, pool="average")
    return [Branch({"branch1x1": Conv(192)}), Branch(single), Branch(double), pooled]


def _block_d() -> list[Branch]:
    wide = {
        "branch7x7x3_1": Conv(192),
        "branch7x7x3_2": _row(192),
        "branch7x7x3_3": _column(192),
        "branch7x7x3_4": Conv(192, 3, 2),
    }
    return [
        Branch({"branch3x3_1": Conv(192), "branch3x3_2": Conv(320, 3, 2)}),
        Branch(wide),
        Branch({}, pool="reduce"),
    ]


def _block_e(pool: str) -> list[Branch]:
    return [
        Branch({"branch1x1": Conv(320)}),
        Branch({"branch3x3_1": Conv(384)}, _fork("branch3x3_2")),
        Branch({"branch3x3dbl_1": Conv(448), "branch3x3dbl_2": Conv(384, 3, 1, 1)}, _fork("branch3x3dbl_3")),
        Branch({"branch_pool": Conv(192)}, pool=pool),
    ]


def _fork(name: str) -> dict[str, Conv]:
    return {f"{name}a": Conv(384, (1, 3), 1, (0, 1)), f"{name}b": Conv(384, (3, 1), 1, (1, 0))}


def _row(channels: int) -> Conv:
    return Conv(channels, (1, 7), 1, (0, 3))


def _column(channels: int) -> Conv:
    return Conv(channels, (7, 1), 1, (3, 0))
