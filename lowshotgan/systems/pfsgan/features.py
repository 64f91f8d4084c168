"""ImageNet's part in PFS-GAN: VGG-16 starts the encoders and compares images, if torchvision's file is on this disk."""

import torch

from lowshotgan.checks import one_of
from lowshotgan.errors import WeightsFormatError
from lowshotgan.messages import tell, warn
from lowshotgan.nets.pfsgan import STEM, CodeEncoder
from lowshotgan.nets.residual import as_rgb
from lowshotgan.nets.vgg import VGG16Features
from lowshotgan.systems.frozen_features import load_perceptual
from lowshotgan.systems.perception import Perception
from lowshotgan.systems.pfsgan.config import ENCODER_INIT, FEATURES
from lowshotgan.systems.torchvision_weights import read_weights, weights_file


def load_features(choice: str, device: torch.device) -> Perception:
    """The feature maps ``choice`` names, from fine to coarse; which they are is logged.

    Args:
        choice: "vgg" (relu1_2, relu2_2 and relu3_3 of VGG-16), "lsg1" (the library's own network), "random" (the same
            with random weights), or "auto", the first of them that can be had offline.
        device: where the network runs.

    Raises:
        WeightsNotFoundError: for "vgg" or "lsg1" if it is not on this disk.
        WeightsHashError: if the file of "vgg" is not torchvision's.
    """
    one_of("features", choice, FEATURES)
    if choice == "vgg" or (choice == "auto" and weights_file("vgg16").is_file()):
        net = VGG16Features()
        stored = read_weights("vgg16", instead="features='lsg1'")
        _copy(net, {name: name for name in net.state_dict()}, stored)
        tell("features: VGG-16")
        maps = net.to(device).eval().requires_grad_(False).maps
        return Perception("vgg", lambda images: maps(as_rgb(images)))
    own = load_perceptual(choice, device)
    tell(f"features: the library's own network ({own.name})")
    return Perception(own.name, lambda images: own.maps(as_rgb(images)))


def start_encoders(choice: str, *encoders: CodeEncoder) -> str:
    """Give VGG encoders ImageNet's weights; how they start ("imagenet" or "random") is returned and logged.

    Raises:
        WeightsNotFoundError: for "imagenet" if torchvision's file is not on this disk.
        WeightsHashError: if the file is not torchvision's.
    """
    one_of("encoder_init", choice, ENCODER_INIT)
    if choice == "random":
        return "random"
    if choice == "auto" and not weights_file("vgg16").is_file():
        warn(
            f"the encoders start from random weights, because {weights_file('vgg16')} is not on this disk; the paper "
            "starts them from ImageNet's. A model with encoder='conv' is much smaller and needs none."
        )
        return "random"
    stored = read_weights("vgg16", instead="encoder_init='random'")
    for encoder in encoders:
        names = {name: _vgg_name(name) for name in encoder.state_dict()}
        _copy(encoder, {ours: theirs for ours, theirs in names.items() if theirs in stored}, stored)
    tell("the encoders start from ImageNet's weights")
    return "imagenet"


def _vgg_name(name: str) -> str:
    """Torchvision's name of a tensor of an encoder, or one that it does not have."""
    part, _, rest = name.partition(".")
    number, _, kind = rest.partition(".")
    if part not in ("stem", "trunk") or not number.isdigit():
        return ""
    return f"features.{int(number) + (STEM if part == 'trunk' else 0)}.{kind}"


def _copy(net: torch.nn.Module, names: dict[str, str], stored: dict[str, torch.Tensor]) -> None:
    try:
        net.load_state_dict({ours: stored[theirs] for ours, theirs in names.items()}, strict=False)
    except (KeyError, TypeError, RuntimeError) as error:
        raise WeightsFormatError(
            f"{weights_file('vgg16')} does not hold torchvision's VGG-16 ({error}); fetch it again."
        ) from error
