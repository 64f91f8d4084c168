"""Maps of torchvision's VGG-19 (Simonyan and Zisserman 2015), for semantic and style terms."""

from pathlib import Path

import torch
from torch import Tensor, nn

from lowshotgan.errors import WeightsFormatError

FILE = "vgg19-dcbb9e9d.pth"
TAPS = (1, 6, 11, 20, 29)
"""Places of ReLU 1_1, 2_1, 3_1, 4_1 and 5_1 in torchvision's list of layers."""


class VGG19Maps(nn.Module):
    """The first convolution of each scale, activated, of images in [-1, 1]."""

    mean: Tensor
    deviation: Tensor

    def __init__(self) -> None:
        super().__init__()
        from torchvision.models import vgg19

        self.layers = vgg19(weights=None).features[: TAPS[-1] + 1]
        for layer in self.layers:
            if isinstance(layer, nn.ReLU):
                layer.inplace = False
        self.register_buffer("mean", torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("deviation", torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1), persistent=False)

    def maps(self, images: Tensor) -> list[Tensor]:
        """Five maps, 64 to 512 channels, of images ``(B, 3, H, W)`` with sides of at least 16."""
        x, found = (images * 0.5 + 0.5 - self.mean) / self.deviation, []
        for index, layer in enumerate(self.layers):
            x = layer(x)
            if index in TAPS:
                found.append(x)
        return found


def vgg19_file() -> Path:
    """Where torchvision keeps the weights it has downloaded."""
    return Path(torch.hub.get_dir()) / "checkpoints" / FILE


def load_vgg19(path: Path) -> VGG19Maps:
    """The network with the weights of a file, frozen.

    Raises:
        WeightsFormatError: if the file is no VGG-19.
    """
    net = VGG19Maps()
    try:
        stored = torch.load(path, map_location="cpu", weights_only=True)
        last = TAPS[-1]
        mine = {k.removeprefix("features."): v for k, v in stored.items() if k.startswith("features.")}
        net.layers.load_state_dict({k: v for k, v in mine.items() if int(k.split(".")[0]) <= last})
    except Exception as error:  # unpickling and loading raise many kinds
        raise WeightsFormatError(f"{path} does not hold torchvision's VGG-19 ({error}); fetch it again.") from error
    return net.eval().requires_grad_(False)
