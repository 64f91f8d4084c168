"""FUNIT's training step as the release does it, written plainly: float32, contiguous NCHW, one thing after the other.

Works on the modules of ``lowshotgan.nets.funit`` for their parameters alone. Every image has a pass of its own through the
discriminator, whose outputs for all classes are computed; repeated pixels are really repeated; and the generator's step
also computes the discriminator's gradients, which nobody uses.
"""

import copy
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class PlainFUNIT:
    """Both networks, their optimisers and the average.

    Args:
        generator: of ``nets.funit``; copied.
        discriminator: of ``nets.funit``, official dialect; copied.
    """

    def __init__(self, generator: nn.Module, discriminator: nn.Module) -> None:
        self.gen: Any = copy.deepcopy(generator).to(memory_format=torch.contiguous_format).requires_grad_(True)
        self.dis: Any = copy.deepcopy(discriminator).to(memory_format=torch.contiguous_format).requires_grad_(True)
        self.average = copy.deepcopy(self.gen)
        self.gen_optimizer, self.dis_optimizer = (
            torch.optim.RMSprop(net.parameters(), lr=1e-4, weight_decay=1e-4) for net in (self.gen, self.dis)
        )

    def step(self, content: Tensor, exemplars: Tensor, content_labels: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """One step of the discriminator and one of the generator; the mean losses by name."""
        found = self.discriminator_step(content, exemplars, labels)
        found |= self.generator_step(content, exemplars, content_labels, labels)
        with torch.no_grad():
            for averaged, live in zip(self.average.parameters(), self.gen.parameters(), strict=True):
                averaged.copy_(0.999 * averaged + 0.001 * live)
        return found

    def discriminator_step(self, content: Tensor, exemplars: Tensor, labels: Tensor) -> dict[str, Tensor]:
        self.dis_optimizer.zero_grad()
        real_images = exemplars.clone().requires_grad_(True)
        real, _ = judge(self.dis, real_images, labels)
        with torch.no_grad():
            translated = decode(self.gen, encode_content(self.gen, content), encode_class(self.gen, exemplars))
        fake, _ = judge(self.dis, translated, labels)
        (slope,) = torch.autograd.grad(real.mean(), real_images, create_graph=True)
        penalty = slope.square().sum(dim=(1, 2, 3)).mean()
        adversarial = F.relu(1 - real).mean() + F.relu(1 + fake).mean()
        (adversarial + 10 * penalty).backward()  # type: ignore[no-untyped-call]
        self.dis_optimizer.step()
        return {"discriminator": adversarial.detach(), "penalty": penalty.detach()}

    def generator_step(
        self, content: Tensor, exemplars: Tensor, content_labels: Tensor, labels: Tensor
    ) -> dict[str, Tensor]:
        self.gen_optimizer.zero_grad()
        layout = encode_content(self.gen, content)
        own, theirs = encode_class(self.gen, content), encode_class(self.gen, exemplars)
        translated, rebuilt = decode(self.gen, layout, theirs), decode(self.gen, layout, own)
        judged, features = judge(self.dis, translated, labels)
        judged_own, own_features = judge(self.dis, rebuilt, content_labels)
        _, wanted = judge(self.dis, exemplars, labels)
        _, wanted_own = judge(self.dis, content, content_labels)
        adversarial = -0.5 * (judged.mean() + judged_own.mean())
        matching = matched(features, wanted) + matched(own_features, wanted_own)
        reconstruction = (rebuilt - content).abs().mean()
        (adversarial + 0.1 * reconstruction + matching).backward()  # type: ignore[no-untyped-call]
        self.gen_optimizer.step()
        self.dis_optimizer.zero_grad()
        return {
            "generator": adversarial.detach(),
            "reconstruction": reconstruction.detach(),
            "matching": matching.detach(),
        }


def padded(x: Tensor, layer: nn.Conv2d) -> Tensor:
    """Reflect, then convolve."""
    side = (layer.kernel_size[0] - 1) // 2
    return F.conv2d(F.pad(x, (side,) * 4, mode="reflect"), layer.weight, layer.bias, layer.stride)


def encode_class(gen: Any, images: Tensor) -> Tensor:
    net = gen.class_encoder
    x = F.relu(padded(images, net.stem))
    for layer in net.down:
        x = F.relu(padded(x, layer))
    return F.conv2d(F.adaptive_avg_pool2d(x, 1), net.head.weight, net.head.bias).flatten(1)


def encode_content(gen: Any, images: Tensor) -> Tensor:
    net = gen.content_encoder
    x = F.relu(F.instance_norm(padded(images, net.stem.conv)))
    for layer in net.down:
        x = F.relu(F.instance_norm(padded(x, layer.conv)))
    for block in net.res:
        h = F.relu(F.instance_norm(padded(x, block.conv1.conv)))
        x = x + F.instance_norm(padded(h, block.conv2.conv))
    return x


def decode(gen: Any, layout: Tensor, codes: Tensor) -> Tensor:
    style = codes
    for layer in gen.mlp[:-1]:
        style = F.relu(F.linear(style, layer.weight, layer.bias))
    style = F.linear(style, gen.mlp[-1].weight, gen.mlp[-1].bias)
    channels, taken = layout.shape[1], 0

    def adapted(x: Tensor) -> Tensor:
        nonlocal taken
        shift, scale = style[:, taken : taken + channels], style[:, taken + channels : taken + 2 * channels]
        taken += 2 * channels
        return F.instance_norm(x) * scale[:, :, None, None] + shift[:, :, None, None]

    x = layout
    for block in gen.decoder.res:
        h = F.relu(adapted(padded(x, block.conv1)))
        x = x + adapted(padded(h, block.conv2))
    for layer in gen.decoder.up:
        x = F.relu(F.instance_norm(padded(F.interpolate(x, scale_factor=2.0, mode="nearest"), layer)))
    return padded(x, gen.decoder.to_rgb).tanh()


def judge(dis: Any, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Logits of the asked classes and activated features, as in the official dialect."""
    x = padded(images, dis.trunk.stem)
    for index, blocks in enumerate(dis.trunk.stage):
        x = x if index == 0 else F.avg_pool2d(F.pad(x, (1,) * 4, mode="reflect"), 3, 2)
        for block in blocks:
            active = F.leaky_relu(x, 0.2)
            change = padded(F.leaky_relu(padded(active, block.conv0), 0.2), block.conv1)
            x = (active if block.shortcut is None else F.conv2d(x, block.shortcut.weight)) + change
    active = F.leaky_relu(x, 0.2)
    everything = F.conv2d(active, dis.head.weight, dis.head.bias)
    return everything[torch.arange(len(images)), labels], active


def matched(features: Tensor, wanted: Tensor) -> Tensor:
    return (features.mean(dim=(2, 3)) - wanted.mean(dim=(2, 3))).abs().mean()
