"""A network with random weights, for smoke tests and for images far from any training set.

Random features order models much as trained ones do (Naeem et al., ICML 2020), but their values mean nothing.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class RandomVGG11(nn.Module):
    """The convolutions of VGG-11 (Simonyan and Zisserman, ICLR 2015) with random weights of one seed."""

    widths = ((64,), (128,), (256, 256), (512, 512), (512, 512))

    def __init__(self, seed: int) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.stages, before = nn.ModuleList(), 3
        for widths in self.widths:
            stage = nn.ModuleList()
            for width in widths:
                conv = nn.Conv2d(before, width, kernel_size=3, padding=1)
                nn.init.normal_(conv.weight, std=(2 / (9 * before)) ** 0.5, generator=generator)
                nn.init.zeros_(conv.bias)  # type: ignore[arg-type]
                stage.append(conv)
                before = width
            self.stages.append(stage)

    def forward(self, images: Tensor) -> Tensor:
        """Embeddings ``(B, 512)`` of images ``(B, 3, H, W)`` in [-1, 1]."""
        return self.maps(images)[-1].mean(dim=(2, 3))

    def maps(self, images: Tensor) -> list[Tensor]:
        """Five maps of images ``(B, 3, H, W)``, each the last activation before a pooling."""
        x, found = images, list[Tensor]()
        for stage in self.stages:
            x = F.max_pool2d(x, kernel_size=2) if found else x
            for conv in stage:  # type: ignore[attr-defined]
                x = F.relu(conv(x))
            found.append(x)
        return found
