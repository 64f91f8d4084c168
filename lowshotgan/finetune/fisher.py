"""Fisher information of parameters, and masks that freeze or prune filters by it (RICK, Zhao et al., CVPR 2023).

The estimate is the mean over *single samples* of squared gradients. Squaring the gradient of a batch mean is something
else: gradients of opposite sign would cancel.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from lowshotgan.draws import Draws
from lowshotgan.losses.adversarial import logistic_discriminator, logistic_generator
from lowshotgan.processes import mean_over_processes


def empirical_fisher(
    loss: Callable[[Any], Tensor], parameters: Mapping[str, Tensor], samples: Iterable[Any]
) -> dict[str, Tensor]:
    """Mean over single samples of the squared gradient of ``loss``.

    Args:
        loss: from one sample to a scalar that depends on ``parameters``.
        parameters: tensors that require a gradient, by name.
        samples: at least one; each is given to ``loss`` alone.

    Returns:
        One non-negative tensor per parameter, of its shape; zero for parameters the loss does not reach.
    """
    total = {name: torch.zeros_like(value) for name, value in parameters.items()}
    count = 0
    for sample in samples:
        with torch.enable_grad():
            gradients = torch.autograd.grad(loss(sample), list(parameters.values()), allow_unused=True)
        for name, gradient in zip(parameters, gradients, strict=True):
            if gradient is not None:
                total[name] += gradient.detach().square()
        count += 1
    return {name: value / max(count, 1) for name, value in total.items()}


def generator_loss(generator: nn.Module, judge: nn.Module) -> Callable[[Tensor], Tensor]:
    """``softplus(-D(G(z)))`` of one latent ``(1, z_dim)``, as a scalar."""

    def loss(z: Tensor) -> Tensor:
        return logistic_generator(judge(generator(z, noise="const"))).sum()

    return loss


@dataclass
class MaskContext:
    """What filter masks act on: live networks, their running averages and when to start.

    Attributes:
        generator: live adapted generator; ``generator(z, noise="const")`` draws images.
        generator_average: its running average.
        judge: live discriminator.
        judge_average: its running average.
        z_dim: length of a latent.
        seed: of the latents the estimates use.
        start: steps before the first estimate.
    """

    generator: nn.Module
    generator_average: nn.Module
    judge: nn.Module
    judge_average: nn.Module
    z_dim: int
    seed: int
    start: int
    images: Tensor | None = field(default=None)


@dataclass
class _Filters:
    """The rows of one weight (and its bias) that are judged together.

    ``scored`` gives their importance: the mean over a filter's weights; with a bias, the mean of that and the bias.
    """

    kind: str
    live: list[nn.Parameter]
    average: list[nn.Parameter]
    names: list[str]
    frozen: Tensor
    pruned: Tensor
    held: list[Tensor]

    def scored(self, fisher: Mapping[str, Tensor]) -> Tensor:
        parts = [fisher[name].flatten(1).mean(dim=1) if fisher[name].ndim > 1 else fisher[name] for name in self.names]
        return torch.stack(parts).mean(dim=0)

    def fixed(self) -> Tensor:
        return self.frozen | self.pruned


class FilterMasks:
    """Freezes filters that matter to the source and prunes those that matter to nothing, every ``every`` steps.

    A frozen filter gets no gradient until the next estimate; a pruned one is zero from then on, in the average too.
    Both are written back after every step, so an optimiser's momentum cannot move them.

    Args:
        context: the networks.
        freeze: percentile of the scores of one kind above which filters are frozen.
        prune: percentile up to which they are pruned.
        every: steps between estimates.
        samples: single samples per estimate.
    """

    def __init__(self, context: MaskContext, *, freeze: float, prune: float, every: int, samples: int) -> None:
        self.context = context
        self.freeze, self.prune = freeze, prune
        self.every, self.samples = every, samples
        self.generator_filters = _collect(context.generator, context.generator_average, _generator_kind)
        self.judge_filters = _collect(context.judge, context.judge_average, lambda name: "discriminator")

    def observe(self, images: Tensor) -> None:
        """Keep this step's real images ``(B, 3, H, W)``: the discriminator's estimate is made on them."""
        self.context.images = images.detach()

    def mask_generator(self) -> None:
        """Zero the gradients of fixed generator filters; call between backward pass and optimiser step."""
        _mask(self.generator_filters)

    def mask_discriminator(self) -> None:
        """Zero the gradients of fixed discriminator filters; call between backward pass and optimiser step."""
        _mask(self.judge_filters)

    def __call__(self, step: int, log: dict[str, float]) -> None:
        """After all phases of a step: write fixed filters back, and re-estimate when it is time."""
        self.hold()
        done = step + 1 - self.context.start
        if done >= 0 and done % self.every == 0:
            self.estimate(step)
            log["fisher/frozen"] = _share(self._all(), "frozen")
            log["fisher/pruned"] = _share(self._all(), "pruned")

    @torch.no_grad()
    def hold(self) -> None:
        """Write every fixed filter back to the value it was fixed at."""
        for filters in self._all():
            rows = filters.fixed()
            for parameter, value in zip(filters.live, filters.held, strict=True):
                parameter[rows] = value[rows]
            for parameter in filters.average:
                parameter[filters.pruned] = 0.0

    def estimate(self, step: int) -> None:
        """Choose anew which filters are frozen, and add to those that are pruned."""
        draws = Draws(self.context.seed + step, device=next(self.context.judge.parameters()).device)
        latents = list(draws.normal(self.samples, self.context.z_dim).split(1))
        self._update(self.generator_filters, self._generator_fisher(latents))
        self._update(self.judge_filters, self._judge_fisher(latents))

    def state_dict(self) -> dict[str, Any]:
        return {
            "frozen": [filters.frozen for filters in self._all()],
            "pruned": [filters.pruned for filters in self._all()],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for filters, frozen, pruned in zip(self._all(), state["frozen"], state["pruned"], strict=True):
            filters.frozen, filters.pruned = (
                frozen.to(filters.frozen.device),
                pruned.to(filters.pruned.device),
            )
            filters.held = [parameter.detach().clone() for parameter in filters.live]

    def _all(self) -> list[_Filters]:
        return self.generator_filters + self.judge_filters

    def _generator_fisher(self, latents: list[Tensor]) -> dict[str, Tensor]:
        generator, judge = self.context.generator_average, self.context.judge_average
        with _needs_gradient(generator) as parameters:
            return _over_processes(empirical_fisher(generator_loss(generator, judge), parameters, latents))

    def _judge_fisher(self, latents: list[Tensor]) -> dict[str, Tensor]:
        generator, judge, images = (
            self.context.generator_average,
            self.context.judge_average,
            self.context.images,
        )
        assert images is not None

        def loss(index: int) -> Tensor:
            with torch.no_grad():
                fake = generator(latents[index], noise="const")
            real = images[index % len(images)][None]
            return logistic_discriminator(judge(real), judge(fake)).sum()

        with _needs_gradient(judge) as parameters:
            return _over_processes(empirical_fisher(loss, parameters, range(self.samples)))

    @torch.no_grad()
    def _update(self, filters: list[_Filters], fisher: dict[str, Tensor]) -> None:
        for kind in sorted({one.kind for one in filters}):
            same = [one for one in filters if one.kind == kind]
            scores = [one.scored(fisher) for one in same]
            alive = torch.cat([score[~one.pruned] for score, one in zip(scores, same, strict=True)])
            if len(alive) == 0:
                continue
            upper, lower = torch.quantile(alive, self.freeze / 100), torch.quantile(alive, self.prune / 100)
            for one, score in zip(same, scores, strict=True):
                if self.prune > 0:
                    one.pruned = one.pruned | (score <= lower)
                one.frozen = (score > upper) & ~one.pruned
                one.held = [parameter.detach().clone() for parameter in one.live]
                for value in one.held:
                    value[one.pruned] = 0.0
        self.hold()


def _collect(live: nn.Module, average: nn.Module, kind: Callable[[str], str | None]) -> list[_Filters]:
    parameters = {name: value for name, value in live.named_parameters() if value.requires_grad}
    averages = dict(average.named_parameters())
    found = []
    for name, value in parameters.items():
        group = kind(name.replace("/", "."))
        if value.ndim < 2 or not name.endswith("weight") or group is None:
            continue
        bias = name.removesuffix("weight") + "bias"
        names = [name, bias] if bias in parameters and group != "convolution" else [name]
        free = torch.zeros(len(value), dtype=torch.bool, device=value.device)
        found.append(
            _Filters(
                kind=group,
                live=[parameters[each] for each in names],
                average=[averages[each] for each in names],
                names=names,
                frozen=free,
                pruned=free.clone(),
                held=[parameters[each].detach().clone() for each in names],
            )
        )
    return found


def _generator_kind(name: str) -> str | None:
    if name.endswith(".affine.weight"):
        return "modulation"
    return "convolution" if name.endswith(".conv.weight") else None


def _mask(filters: list[_Filters]) -> None:
    for one in filters:
        rows = one.fixed()
        for parameter in one.live:
            if parameter.grad is not None:
                parameter.grad[rows] = 0.0


def _share(filters: list[_Filters], which: str) -> float:
    masks = torch.cat([getattr(one, which) for one in filters])
    return float(masks.float().mean())


@contextmanager
def _needs_gradient(network: nn.Module) -> Iterator[dict[str, Tensor]]:
    """Named parameters of a network that is not being trained, requiring a gradient for the time of an estimate."""
    parameters: dict[str, nn.Parameter] = dict(network.named_parameters())
    before = {name: parameter.requires_grad for name, parameter in parameters.items()}
    for parameter in parameters.values():
        parameter.requires_grad_(True)
    try:
        yield dict(parameters)
    finally:
        for name, parameter in parameters.items():
            parameter.requires_grad_(before[name])


def _over_processes(fisher: dict[str, Tensor]) -> dict[str, Tensor]:
    """Mean over all processes, so that every process chooses the same filters."""
    return {name: mean_over_processes(value) for name, value in fisher.items()}
