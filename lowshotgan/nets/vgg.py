"""Feature maps of VGG-19 (Simonyan and Zisserman, ICLR 2015) after the first ReLU of each of its five groups.

    image (B, 3, R, R) -> maps of 64, 128, 256, 512, 512 channels at R, R / 2, R / 4, R / 8, R / 16

The names of the parameters are torchvision's, whose weights can be loaded; nothing here downloads them.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

GROUPS = ((64, 2), (128, 2), (256, 4), (512, 4), (512, 4))
"""Channels and number of convolutions of each group."""
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class VGG19Features(nn.Module):
    """The network up to relu5_1.

    Args:
        normalize: bring images in [-1, 1] to the ImageNet normalisation the network was trained with; otherwise they
            are fed as they are, which is what the releases of LaDo and GenHo do.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, *, normalize: bool = False) -> None:
        super().__init__()
        self.normalize = normalize
        self.features = nn.ModuleDict()
        self.plan: list[tuple[str, bool, bool]] = []
        position, before = 0, 3
        for group, (width, count) in enumerate(GROUPS):
            for number in range(count if group < len(GROUPS) - 1 else 1):
                self.features[str(position)] = nn.Conv2d(before, width, 3, padding=1)
                self.plan.append((str(position), number == 0 and group > 0, number == 0))
                position, before = position + 2, width  # each convolution is followed by a ReLU
            position += 1  # and each group by a pooling layer
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN)[:, None, None], persistent=False)
        self.register_buffer("std", torch.tensor(IMAGENET_STD)[:, None, None], persistent=False)

    def maps(self, images: Tensor) -> list[Tensor]:
        """Five maps of images ``(B, 3, R, R)`` in [-1, 1]; fewer for images that are too small to be halved four times."""
        x = ((images + 1) / 2 - self.mean) / self.std if self.normalize else images
        found = []
        for name, pooled, kept in self.plan:
            if pooled:
                if min(x.shape[2:]) < 2:
                    break
                x = F.max_pool2d(x, 2)
            x = F.relu(self.features[name](x))
            if kept:
                found.append(x)
        return found


VGG16_GROUPS = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))
VGG16_KEPT = (3, 8, 15)
"""Positions of relu1_2, relu2_2 and relu3_3."""


def vgg16_layers() -> list[nn.Module]:
    """The 31 layers of VGG-16 before its classifier, numbered as torchvision's ``features``, with its initial values."""
    layers: list[nn.Module] = []
    before = 3
    for width, count in VGG16_GROUPS:
        for _ in range(count):
            conv = nn.Conv2d(before, width, 3, padding=1)
            nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
            nn.init.zeros_(conv.bias)  # type: ignore[arg-type]
            layers += [conv, nn.ReLU()]
            before = width
        layers.append(nn.MaxPool2d(2))
    return layers


class VGG16Features(nn.Module):
    """VGG-16 up to relu3_3; images in [-1, 1] are fed as they are, which is what the release of PFS-GAN does."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(*vgg16_layers()[: VGG16_KEPT[-1] + 1])

    def maps(self, images: Tensor) -> list[Tensor]:
        """relu1_2, relu2_2 and relu3_3 of images ``(B, 3, R, R)``: 64, 128, 256 channels at R, R / 2, R / 4."""
        x, found = images, []
        for number, layer in enumerate(self.features):
            x = layer(x)
            if number in VGG16_KEPT:
                found.append(x)
        return found
