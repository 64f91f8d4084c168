"""Tiny networks and a bare stepper, so that stages can be run without the training loop."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from lowshotgan.draws import Draws
from lowshotgan.nets.stylegan2 import Discriminator, Generator
from lowshotgan.types import Batch, Stage

Step = Callable[..., dict[str, float]]


class RepeatedBatches:
    """K images repeated to batches of any size."""

    def __init__(self, images: Tensor, batch: int) -> None:
        self.images, self.batch, self.position = images, batch, 0

    def __next__(self) -> Tensor:
        index = torch.arange(self.position, self.position + self.batch) % len(self.images)
        self.position += self.batch
        return self.images[index]

    def state_dict(self) -> dict[str, int]:
        return {"position": self.position}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.position = state["position"]


def tiny_generator(resolution: int = 16, *, seed: int = 0) -> Generator:
    """A generator whose every parameter, zero-initialised ones included, is random."""
    torch.manual_seed(seed)
    generator = Generator(resolution, z_dim=16, w_dim=16, mapping_layers=2, channel_base=64, channel_max=16)
    with torch.no_grad():
        for name, parameter in generator.named_parameters():
            if name.endswith(("noise_strength", "bias")):
                parameter.add_(0.1 * torch.randn(parameter.shape))
        generator.mapping.w_avg.normal_(std=0.1)
    return generator


def tiny_discriminator(resolution: int = 16, *, seed: int = 1) -> Discriminator:
    torch.manual_seed(seed)
    return Discriminator(resolution, channel_base=64, channel_max=16)


def step_stage(
    stage: Stage, steps: int, *, first: int = 0, betas: tuple[float, float] | None = None
) -> dict[str, float]:
    """Run ``steps`` steps as the training loop does, without everything a loop adds; returns the last step's log."""
    optimizers = {
        name: torch.optim.Adam(list(group.params), lr=group.lr, betas=betas or group.betas)
        for name, group in stage.groups.items()
    }
    draws, log = Draws(0), {}
    for step in range(first, first + steps):
        images, log = next(stage.batches), {}
        for phase in stage.phases:
            if step < phase.start or (phase.stop is not None and step >= phase.stop) or step % phase.every:
                continue
            for name, group in stage.groups.items():
                for parameter in group.params:
                    parameter.requires_grad_(name == phase.updates)
            optimizer = optimizers[phase.updates]
            optimizer.zero_grad(set_to_none=True)
            progress = step / stage.steps
            terms = phase.terms(Batch(images, draws, step, progress))
            weights = {name: w(progress) if callable(w) else w for name, w in phase.weights.items()}
            loss = sum(weights[name] * terms[name].mean() for name in weights)
            assert isinstance(loss, Tensor)
            (loss * phase.every).backward()
            if phase.mask_gradients is not None:
                phase.mask_gradients()
            optimizer.step()
            log |= {f"{phase.name}/{name}": float(value.detach().mean()) for name, value in terms.items()}
        with torch.no_grad():
            for live, average in stage.averages.values():
                for mean, value in zip(average.parameters(), live.parameters(), strict=True):
                    mean.lerp_(value, 0.1)
        for callback in stage.on_step:
            callback(step, log)
    return log


@pytest.fixture
def generator() -> Generator:
    return tiny_generator()


@pytest.fixture
def discriminator() -> Discriminator:
    return tiny_discriminator()


@pytest.fixture
def images() -> Tensor:
    """Ten target images ``(10, 3, 16, 16)``."""
    return torch.rand(10, 3, 16, 16, generator=torch.Generator().manual_seed(3)) * 2 - 1


@pytest.fixture
def small() -> tuple[Generator, Discriminator]:
    """The smallest networks there are, at 8 px, for longer runs."""
    return tiny_generator(8), tiny_discriminator(8)


@pytest.fixture
def nets() -> Callable[[int], tuple[Generator, Discriminator]]:
    """Networks of a given resolution."""
    return lambda resolution: (tiny_generator(resolution), tiny_discriminator(resolution))


@pytest.fixture
def step() -> Step:
    return step_stage


@pytest.fixture
def batches() -> type[RepeatedBatches]:
    return RepeatedBatches


@pytest.fixture
def latents() -> Tensor:
    return torch.randn(3, 16, generator=torch.Generator().manual_seed(5))
