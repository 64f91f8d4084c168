"""A frozen generator with a few trained tensors beside it."""

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.func import functional_call

from lowshotgan.checks import same_keys
from lowshotgan.draws import Draws
from lowshotgan.errors import DeltaError
from lowshotgan.finetune.overrides import Overrides, chain_overrides
from lowshotgan.finetune.parts import need
from lowshotgan.finetune.trainables import Trainable
from lowshotgan.nets.stylegan2 import Generator, Noise

AVERAGE_SAMPLES = 10_000


class AdaptedGenerator(nn.Module):
    """Behaves like ``Generator``; its own parameters are only what fine-tuning trains.

    The source generator is never changed and is not part of ``state_dict()``. Truncation acts on w, before any offset.

    Args:
        source: the generator that is adapted.
        trainables: what moves; applied in this order.
        seed: of random start values (the random half of a low-rank change).

    Raises:
        RecipeError: if two trainables cannot be used together, or there is none.
    """

    def __init__(self, source: Generator, trainables: Sequence[Trainable], *, seed: int = 0) -> None:
        super().__init__()
        self._beside = (source,)  # a tuple keeps it out of this module's parameters
        self.trainables = tuple(trainables)
        random = torch.Generator().manual_seed(seed)
        built = {part.kind: part.build(source, random=random) for part in self.trainables}
        need(bool(built), "a fine-tuned generator needs at least one trainable, for example w_offset.")
        need(
            len(built) == len(self.trainables),
            f"each trainable can be used once, got {_kinds(self.trainables)}.",
        )
        self.parts = nn.ModuleDict(cast(Mapping[str, nn.Module], built)).to(next(source.parameters()).device)
        self._check_copies(list(built.values()))
        self.trains_mapping = any(name.startswith("mapping.") for name in self.overrides())
        self.resolution, self.z_dim, self.w_dim = source.resolution, source.z_dim, source.w_dim
        self.num_ws = source.num_ws

    @property
    def source(self) -> Generator:
        """The frozen generator."""
        return self._beside[0]

    def overrides(self) -> dict[str, Tensor]:
        """Effective values of every generator parameter that fine-tuning changes, by the generator's names."""
        base = self.source_parameters()
        with torch.autocast(next(iter(base.values())).device.type, enabled=False):  # small, and must stay exact
            return chain_overrides(self.parts.values(), base)

    def source_parameters(self) -> dict[str, Tensor]:
        """The frozen generator's parameters, detached."""
        return {name: value.detach() for name, value in self.source.named_parameters()}

    def mapping(self, z: Tensor) -> Tensor:
        """Latents ``(B, z_dim)`` to styles ``(B, w_dim)``."""
        return cast(Tensor, functional_call(self.source.mapping, self._below("mapping."), (z,)))

    def truncate(self, w: Tensor, psi: float) -> Tensor:
        """Move styles towards the average style, as ``Generator.truncate``."""
        return self.source.truncate(w, psi)

    def broadcast(self, w: Tensor) -> Tensor:
        """``(B, w_dim) -> (B, L, w_dim)``, the same style for every layer."""
        return self.source.broadcast(w)

    def synthesis(
        self, ws: Tensor, *, noise: Noise = "const", return_features: bool = False
    ) -> Tensor | tuple[Tensor, list[Tensor]]:
        """Styles ``(B, L, w_dim)`` to images, as ``Synthesis.forward``."""
        values, options = self._below("synthesis."), {"noise": noise, "return_features": return_features}
        return cast(
            "Tensor | tuple[Tensor, list[Tensor]]",
            functional_call(self.source.synthesis, values, (ws,), options),
        )

    def draw_noise(self, batch: int, draws: Draws) -> list[Tensor]:
        """Fresh noise maps, as ``Synthesis.draw_noise``."""
        return self.source.synthesis.draw_noise(batch, draws)

    def forward(self, z: Tensor, *, psi: float = 1.0, noise: Noise = "const") -> Tensor:
        """``(B, z_dim)`` latents to ``(B, 3, R, R)`` images around [-1, 1]."""
        w = self.truncate(self.mapping(z), psi)
        return cast(Tensor, self.synthesis(self.broadcast(w), noise=noise))

    @torch.no_grad()
    def merge(self, *, strength: float = 1.0) -> Generator:
        """A plain generator with the changes written into its parameters.

        Args:
            strength: 0 is the source, 1 the adapted generator; parameters lie on the straight line between them,
                which may be followed beyond 1.

        Returns:
            A new generator on the same device. If the mapping network was trained, its average style is computed anew
            from 10,000 latents of a fixed seed.
        """
        merged = copy.deepcopy(self.source).requires_grad_(True)
        parameters = dict(merged.named_parameters())
        for name, value in self.overrides().items():
            parameters[name].copy_(value if strength == 1 else torch.lerp(parameters[name], value, strength))
        if self.trains_mapping and strength != 0:
            merged.mapping.w_avg.copy_(average_style(merged))
        return merged

    def delta(self) -> dict[str, Tensor]:
        """The trained tensors by name, float32 copies on the CPU."""
        return {name: value.detach().float().cpu().clone() for name, value in self.parts.state_dict().items()}

    @torch.no_grad()
    def load_delta(self, tensors: Mapping[str, Tensor]) -> None:
        """Set the trained tensors from what ``delta`` gave.

        Raises:
            DeltaError: if names or shapes differ from this generator's.
        """
        own = self.parts.state_dict()
        trouble = same_keys("the delta's tensors do not belong to this generator", list(own), list(tensors))
        wrong = [name for name in own if not trouble and own[name].shape != tensors[name].shape]
        if trouble or wrong:
            shapes = "".join(f"{n} is {tuple(tensors[n].shape)}, expected {tuple(own[n].shape)}" for n in wrong[:1])
            raise DeltaError(f"{trouble or shapes}; load it on the base model and trainables it was made with.")
        for name, value in tensors.items():
            own[name].copy_(value)

    def describe(self) -> dict[str, Any]:
        """Plain facts: the trainables, and how many tensors, values and bytes are trained."""
        tensors = list(self.parts.state_dict().values())
        values = sum(tensor.numel() for tensor in tensors)
        return {
            "trainable": [part.to_dict() for part in self.trainables],
            "tensors": len(tensors),
            "values": values,
            "bytes": 4 * values,
            "share": values / sum(value.numel() for value in self.source.parameters()),
        }

    def _below(self, prefix: str) -> dict[str, Tensor]:
        everything = {**self.source_parameters(), **self.overrides()}
        return {name.removeprefix(prefix): value for name, value in everything.items() if name.startswith(prefix)}

    def _check_copies(self, built: Sequence[Overrides]) -> None:
        changed: set[str] = set()
        for part in built:
            clash = changed & part.copies
            need(
                not clash,
                f"{_kinds(self.trainables)} do not fit together: {', '.join(sorted(clash)[:2])} would be replaced "
                f"after it was changed; put the one that copies parameters first, or use one of them.",
            )
            changed |= set(part.overrides(self.source_parameters()))

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "AdaptedGenerator":
        """Move the source along with the trained tensors (``.to(device)`` and the like)."""
        cast(Any, self.source)._apply(fn, recurse)
        cast(Any, super())._apply(fn, recurse)
        return self


@torch.no_grad()
def average_style(generator: Generator, *, samples: int = AVERAGE_SAMPLES, seed: int = 0) -> Tensor:
    """Mean style ``(w_dim,)`` over ``samples`` latents drawn with ``seed``."""
    z = Draws(seed, device=next(generator.parameters()).device).normal(samples, generator.z_dim)
    styles = [generator.mapping(chunk) for chunk in z.split(2000)]
    return torch.cat(styles).mean(dim=0)


def _kinds(trainables: Sequence[Trainable]) -> str:
    return " + ".join(part.kind for part in trainables)
