"""The stages of SyncGAN (Chen, Chen and Hu, ICME 2018), for any number of modalities.

synchronizer   S <- do these two show the same concept? real pairs only
warm_up        G_m <- redraw real items; only if asked for, see warm_up.py
adversarial    D_m <- real or generated;  S again, now and then;  G <- fool every D_m, be synchronous for one code
               and asynchronous for two
encoders       E_m <- invert the finished G_m; only for models that have encoders
"""

import itertools
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from lowshotgan.draws import Draws
from lowshotgan.losses.adversarial import (
    hinge_discriminator,
    hinge_generator,
    logistic_discriminator,
    logistic_generator,
)
from lowshotgan.losses.synchrony import all_pairs_synchrony, synchrony
from lowshotgan.nets.shift import random_shift
from lowshotgan.systems.syncgan.config import SyncGANTraining
from lowshotgan.systems.syncgan.inversion import squared_error
from lowshotgan.systems.syncgan.modalities import Modality
from lowshotgan.systems.syncgan.networks import Concat, JointGenerator, Judges, TwoTower
from lowshotgan.types import Batch, Batches, ParamGroup, Phase, Stage

ASKED_EVERY = 50
"""Steps of the first stage between two looks at the synchronizer."""
HEAD_START = 100
"""Steps that the discriminators are ahead after a warm-up, so that their first gradients do not undo it."""


class SyncGANLosses:
    """The loss terms; each method maps a batch of ``PairBatches`` to named ``(B,)`` values.

    Args:
        generator: the generators that are trained.
        judges: discriminators and synchronizer.
        training: settings.
        modalities: by name; one with ``augment`` decides what the judges see of its items.
        hinge: hinge loss instead of cross entropy.
    """

    def __init__(
        self,
        generator: JointGenerator,
        judges: Judges,
        training: SyncGANTraining,
        modalities: Mapping[str, Modality],
        *,
        hinge: bool,
    ) -> None:
        self.generator, self.judges, self.training, self.modalities = generator, judges, training, modalities
        self.names = list(generator.parts)
        self.pairs = list(itertools.combinations(self.names, 2))
        self.of_discriminator = hinge_discriminator if hinge else logistic_discriminator
        self.of_generator = hinge_generator if hinge else logistic_generator

    def discriminator_terms(self, batch: Batch) -> Mapping[str, Tensor]:
        """Every discriminator on real and generated items of its modality."""
        count, draws = len(batch.images["group"]), batch.draws
        with torch.no_grad():
            fakes = self.generator(draws.normal(count, self.generator.z_dim))
        terms = {}
        for name in self.names:
            real = self.judge(self.view(batch.images[f"any/{name}"], name, draws), name)
            fake = self.judge(self.view(fakes[name], name, draws), name)
            terms[f"adversarial_{name}"] = self.of_discriminator(real, fake)
        return terms

    def synchronizer_terms(self, batch: Batch) -> Mapping[str, Tensor]:
        """S on real pairs, averaged over the pairs of modalities; on generated ones too if so configured."""
        groups, draws, judge = batch.images["group"], batch.draws, self.judges.synchronizer.train()
        real = {name: self.view(batch.images[f"pair/{name}"], name, draws) for name in self.names}
        terms = {}
        values = []
        for pair in self.pairs:
            a, b = real[pair[0]], real[pair[1]]
            if isinstance(judge, TwoTower):
                values.append(all_pairs_synchrony(judge.combinations(a, b, pair), groups))
            else:
                apart = (groups != groups.roll(1)).float()  # equal concepts are no asynchronous pair
                wrong = synchrony(judge(a, b.roll(1, dims=0), pair), 0.0)
                values.append((synchrony(judge(a, b, pair), 1.0) + apart * wrong) / 2)
        terms["synchrony"] = torch.stack(values).mean(dim=0)
        if self.training.sync_sees_fakes:
            with torch.no_grad():
                fakes = self.generator(draws.normal(len(groups), self.generator.z_dim))
            seen = [
                synchrony(judge(self.view(fakes[a], a, draws), self.view(fakes[b], b, draws), (a, b)), 0.0)
                for a, b in self.pairs
            ]
            terms["generated"] = torch.stack(seen).mean(dim=0)
        return terms

    def generator_terms(self, batch: Batch) -> Mapping[str, Tensor]:
        """What every discriminator says; what S says of one code in both, and of two codes, one in each."""
        count, draws, judge = len(batch.images["group"]), batch.draws, self.judges.synchronizer.eval()
        fakes = self.generator(draws.normal(count, self.generator.z_dim))
        seen = {name: self.view(fakes[name], name, draws) for name in self.names}
        terms = {f"adversarial_{name}": self.of_generator(self.judge(seen[name], name)) for name in self.names}
        told = [same_and_apart(judge, seen[a], seen[b], (a, b)) for a, b in self.pairs]
        same, apart = (torch.stack(values).mean(dim=0) for values in zip(*told, strict=True))
        return terms | {"synchrony": same, "asynchrony": apart}

    def judge(self, values: Tensor, name: str) -> Tensor:
        """Logits ``(B, 1)`` of one discriminator."""
        logits: Tensor = self.judges.discriminators[name](values)
        return logits

    def view(self, values: Tensor, name: str, draws: Draws) -> Tensor:
        """What judges see, real and generated alike."""
        augment = getattr(self.modalities[name], "augment", None)
        seen: Tensor = values if augment is None else augment(values, draws)
        return random_shift(seen, draws, pixels=self.training.shift) if seen.shape[-1] > 1 else seen


def same_and_apart(judge: TwoTower | Concat, a: Tensor, b: Tensor, names: tuple[str, str]) -> tuple[Tensor, Tensor]:
    """``(B,)`` losses of pairs of one code against 1, and of pairs of two codes against 0.

    Two towers compare every item with all others at no cost, so theirs is the mean over those; otherwise it is the next.
    """
    if isinstance(judge, Concat) or len(a) < 2:
        return synchrony(judge(a, b, names), 1.0), synchrony(judge(a, b.roll(1, dims=0), names), 0.0)
    table = judge.combinations(a, b, names)
    other = 1 - torch.eye(len(a), device=table.device)
    apart = synchrony(table.flatten(), 0.0).view_as(table)
    return synchrony(table.diagonal(), 1.0), (apart * other).sum(dim=1) / other.sum(dim=1)


def synchronizer_stage(losses: SyncGANLosses, batches: Batches, *, ready: Callable[[], bool] | None = None) -> Stage:
    """One stage that trains S alone, so that it can teach when the generators start.

    Args:
        losses: the terms.
        batches: from ``PairBatches``.
        ready: asked every ``ASKED_EVERY`` steps whether to end the stage there.
    """
    judge, training = losses.judges.synchronizer, losses.training
    alone = Phase("synchronizer", "synchronizer", lambda batch: _only_real(losses, batch), {"synchrony": 1.0})
    stage = Stage(
        name="synchronizer",
        steps=training.synchronizer_steps,
        batches=batches,
        groups={"synchronizer": ParamGroup(list(judge.parameters()), lr=training.synchronizer_lr, betas=(0.9, 0.999))},
        phases=[alone],
        modules={"synchronizer": judge},
    )

    if ready is not None:
        end = EarlyEnd(stage, ready)
        stage.on_step, stage.state = [end], {"end": end}
    return stage


class EarlyEnd:
    """Ends a stage as soon as ``ready`` says so; checkpoints carry where that was."""

    def __init__(self, stage: Stage, ready: Callable[[], bool]) -> None:
        self.stage, self.ready = stage, ready

    def __call__(self, step: int, log: dict[str, float]) -> None:
        if (step + 1) % ASKED_EVERY == 0 and self.ready():
            self.stage.steps = step + 1

    def state_dict(self) -> dict[str, int]:
        return {"steps": self.stage.steps}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.stage.steps = state["steps"]


def adversarial_stage(
    losses: SyncGANLosses,
    averaged: nn.Module,
    batches: Batches,
    *,
    async_weight: float,
    on_step: Callable[[int, dict[str, float]], None],
    preview: Callable[[], Tensor],
) -> Stage:
    """One stage that trains everything; ``averaged`` becomes the model to keep."""
    training, judges, weight = losses.training, losses.judges, losses.training.sync_weight
    adversarial = {f"adversarial_{name}": 1.0 for name in losses.names}
    generator_weights = adversarial | {"synchrony": weight, "asynchrony": weight * async_weight}
    rates = {
        "generator": ParamGroup(list(losses.generator.parameters()), lr=training.lr, betas=(0.5, 0.999)),
        "discriminator": ParamGroup(
            list(judges.discriminators.parameters()), lr=training.discriminator_lr or training.lr, betas=(0.5, 0.999)
        ),
        "synchronizer": ParamGroup(
            list(judges.synchronizer.parameters()), lr=training.synchronizer_lr, betas=(0.9, 0.999)
        ),
    }
    return Stage(
        name="adversarial",
        steps=training.steps,
        batches=batches,
        groups=rates,
        phases=[
            Phase("discriminator", "discriminator", losses.discriminator_terms, adversarial),
            Phase(
                "synchronizer",
                "synchronizer",
                losses.synchronizer_terms,
                {"synchrony": 1.0, "generated": 1.0},
                every=training.synchronizer_every,
            ),
            Phase(
                "generator",
                "generator",
                losses.generator_terms,
                generator_weights,
                start=min(HEAD_START, training.warm_up_steps),
            ),
        ],
        modules={"generator": losses.generator, "judges": judges},
        averages={"generator": (losses.generator, averaged)},
        ema_half_life=training.ema_half_life,
        ema_rampup=0.2,
        on_step=[on_step],
        preview=preview,
    )


def encoder_stage(
    generator: JointGenerator, encoders: nn.ModuleDict, batches: Batches, training: SyncGANTraining
) -> Stage:
    """One stage that trains encoders to invert the finished ``generator``, which stays as it is."""
    generator.eval().requires_grad_(False)
    encoders.requires_grad_(True).train()

    def terms(batch: Batch) -> Mapping[str, Tensor]:
        return encoder_terms(generator, encoders, batch)

    return Stage(
        name="encoders",
        steps=training.encoder_steps,
        batches=batches,
        groups={"encoders": ParamGroup(list(encoders.parameters()), lr=training.encoder_lr, betas=(0.9, 0.999))},
        phases=[Phase("encoders", "encoders", terms, {"code": 1.0, "reconstruction": 2.0})],
        modules={"encoders": encoders},
    )


def encoder_terms(generator: JointGenerator, encoders: nn.ModuleDict, batch: Batch) -> Mapping[str, Tensor]:
    """How far E(G(z)) is from z, and G(E(x)) from real x: mean squares, averaged over the modalities, ``(B,)`` each."""
    codes, items = [], []
    for name, encoder in encoders.items():
        real = batch.images[f"any/{name}"]
        wanted = generator.code(batch.draws.normal(len(real), generator.z_dim), name)
        found = encoder(torch.cat([generator.decode(wanted, name), real]))
        codes.append((found[: len(real)].float() - wanted).square().mean(dim=1))
        items.append(squared_error(generator.decode(found[len(real) :], name), real))
    return {"code": torch.stack(codes).mean(dim=0), "reconstruction": torch.stack(items).mean(dim=0)}


def _only_real(losses: SyncGANLosses, batch: Batch) -> Mapping[str, Tensor]:
    """The term of real pairs, whatever else the second stage adds."""
    terms = losses.synchronizer_terms(batch)
    return {"synchrony": terms["synchrony"]}
