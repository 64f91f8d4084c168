"""The two stages of KG-GAN: E on seen images, then G and D (Chang et al., arXiv 1905.12261; the family of US 11379722).

    embedding     E <- || E(x) - v ||^2 on real seen images; frozen afterwards
    adversarial   D <- hinge on x and G1(z, y1);  G <- -D(G1(z, y1)) + w (|| E(G1) - v1 ||^2 + || E(G2) - v2 ||^2)

D never receives an image of G2: images of unseen categories are judged by the knowledge alone (unless
``realism_on_unseen`` asks for more).
"""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

from lowshotgan.draws import Draws
from lowshotgan.finetune.augment import Augmenter
from lowshotgan.losses.adversarial import hinge_discriminator, hinge_generator
from lowshotgan.losses.constraints import Constraints, EmbeddingConstraint, constraint_terms, constraint_weights
from lowshotgan.losses.knowledge_guided import embedding_distance
from lowshotgan.nets.shift import random_shift
from lowshotgan.systems.kggan.config import KGGANFineTuning, KGGANTraining
from lowshotgan.systems.kggan.generator import KnowledgeGenerator
from lowshotgan.systems.kggan.networks import EmbeddingNets
from lowshotgan.systems.kggan.nuisance import Nuisance, erase_square
from lowshotgan.systems.kggan.warm_up import Redrawing
from lowshotgan.types import Batch, Batches, ParamGroup, Phase, Stage

HEAD_START = 100
"""Steps that D is ahead after a warm-up, so that its first gradients do not undo it."""


class View:
    """What E sees of an image: shifted a little, with a little noise; real and generated images alike.

    Args:
        shift: largest shift in pixels.
        noise: standard deviation.
        erase: side of a square that is erased, as a share of the image's.
    """

    def __init__(self, shift: int, noise: float, erase: float = 0.0) -> None:
        self.shift, self.noise, self.erase = shift, noise, erase

    @classmethod
    def of(cls, training: KGGANTraining) -> "View":
        """That of a training."""
        return cls(training.shift, training.noise, training.erase or 0.0)

    def __call__(self, images: Tensor, draws: Draws) -> Tensor:
        moved = random_shift(images, draws, pixels=self.shift)
        if self.erase:
            moved = erase_square(moved, draws, side=round(self.erase * images.shape[-1]))
        return moved + self.noise * draws.normal(len(images), *images.shape[1:]) if self.noise else moved


class EmbeddingLoss:
    """Terms of the first stage.

    Args:
        net: the embedding network.
        vectors: ``(C, d)`` of the seen categories, in the order of the labels.
        nuisance: hides attributes from a part of the batch.
        view: of the images.
    """

    def __init__(self, net: EmbeddingNets, vectors: Tensor, nuisance: Nuisance, view: View) -> None:
        self.net, self.vectors, self.nuisance, self.view = net, vectors, nuisance, view

    def terms(self, batch: Batch) -> Mapping[str, Tensor]:
        """Squared distance of E's output from the vector of the image's category."""
        images, mask = self.nuisance(self.view(batch.images["images"], batch.draws), batch.draws)
        wanted = self.vectors[batch.images["labels"]]
        apart = [embedding_distance(found, wanted, mask=mask) for found in self.net.readings(images)]
        return {"embedding": torch.stack(apart).mean(dim=0)}


def embedding_stage(name: str, loss: EmbeddingLoss, batches: Batches, training: KGGANTraining) -> Stage:
    """One stage that trains an embedding network."""
    params = ParamGroup(
        list(loss.net.parameters()),
        lr=training.embedding_lr,
        betas=(0.9, 0.999),
        decay=0.3,
        weight_decay=training.embedding_weight_decay or 0.0,
    )
    return Stage(
        name=name,
        steps=training.embedding_steps,
        batches=batches,
        groups={"embedding": params},
        phases=[Phase("embedding", "embedding", loss.terms, {"embedding": 1.0})],
        modules={"embedding": loss.net},
    )


class KGGANLosses:
    """Terms of the second stage; each method maps a batch to named ``(B,)`` values.

    Args:
        generator: with E, frozen, and the table.
        live: the network that is trained; ``generator.network`` is its average.
        discriminator: D.
        seen: rows of the seen categories in the table, in the order of the labels.
        unseen: rows of the others; if there are none, only the seen side is learnt.
        training: settings.
        view: of what E sees.
        redrawing: of the warm-up, where its error on the live network is to be a term.
        augment: of all that D sees; nothing by default.
        constraints: of the user; their targets are ``vectors`` and ``categories``, rows of the table.
    """

    def __init__(
        self,
        generator: KnowledgeGenerator,
        live: nn.Module,
        discriminator: nn.Module,
        seen: Sequence[int],
        unseen: Sequence[int],
        training: KGGANTraining | KGGANFineTuning,
        view: View,
        *,
        redrawing: Redrawing | None = None,
        augment: Augmenter | None = None,
        constraints: Constraints | None = None,
    ) -> None:
        self.generator, self.live, self.discriminator, self.training = generator, live, discriminator, training
        self.view, self.redrawing, self.augment, self.constraints = view, redrawing, augment, constraints or {}
        self.embedding = EmbeddingConstraint(*generator.embedding.nets, distance=training.distance)
        device = generator.table.vectors.device
        self.seen, self.unseen = torch.tensor(seen, device=device), torch.tensor(unseen, device=device)

    def discriminator_terms(self, batch: Batch) -> Mapping[str, Tensor]:
        """Hinge loss of real seen images against images of G1, each with its category."""
        reals, rows, draws = batch.images["images"], self.seen[batch.images["labels"]], batch.draws
        with torch.no_grad():
            fakes, fake_rows = self.draw_seen(len(reals), draws)
        real, fake = self.judge(reals, rows, draws), self.judge(fakes, fake_rows, draws)
        terms = {"adversarial": hinge_discriminator(real, fake)}
        if self.training.realism_on_unseen and len(self.unseen):
            with torch.no_grad():
                fakes, _ = self.draw_unseen(len(reals), draws)
            terms["realism"] = hinge_discriminator(self.judge(reals, None, draws), self.judge(fakes, None, draws))
        return terms

    def generator_terms(self, batch: Batch) -> Mapping[str, Tensor]:
        """What D says of G1, and how far the embeddings of both generators' images are from those wanted."""
        count, draws = len(batch.images["images"]), batch.draws
        images, rows = self.draw_seen(count, draws)
        made = [(images, self.targets(rows))]
        terms = {
            "adversarial": hinge_generator(self.judge(images, rows, draws)),
            "knowledge_seen": self.knowledge(images, rows, draws),
        }
        if len(self.unseen):
            images, rows = self.draw_unseen(count, draws)
            made.append((images, self.targets(rows)))
            terms["knowledge_unseen"] = self.knowledge(images, rows, draws)
            if self.training.realism_on_unseen:
                terms["realism"] = hinge_generator(self.judge(images, None, draws))
        if self.redrawing is not None:
            terms["redrawing"] = self.redrawing(self.live, batch)
        return terms | constraint_terms(self.constraints, made)

    def generator_weights(self) -> dict[str, float]:
        """Weights of the terms of the generator's step."""
        weight = self.training.knowledge_weight
        weights = {"adversarial": 1.0, "knowledge_seen": weight, "knowledge_unseen": weight}
        if self.training.realism_on_unseen:
            weights["realism"] = self.training.realism_on_unseen
        if isinstance(self.training, KGGANTraining) and self.training.anchor_weight:
            weights["redrawing"] = self.training.anchor_weight
        return weights | constraint_weights(self.constraints)

    def targets(self, rows: Tensor) -> dict[str, Tensor]:
        """What constraints are told of images of the categories ``rows``."""
        return {"vectors": self.vectors[rows], "categories": rows}

    def draw_seen(self, count: int, draws: Draws) -> tuple[Tensor, Tensor]:
        """Images of G1 and the rows of their categories, drawn alike often."""
        rows = self.seen[draws.integers(len(self.seen), count)]
        return self.generator.seen(draws.normal(count, self.generator.z_dim), rows, network=self.live), rows

    def draw_unseen(self, count: int, draws: Draws) -> tuple[Tensor, Tensor]:
        """Images of G2 and the rows of their categories."""
        rows = self.unseen[draws.integers(len(self.unseen), count)]
        return self.generator.unseen(draws.normal(count, self.generator.z_dim), rows, network=self.live), rows

    def judge(self, images: Tensor, rows: Tensor | None, draws: Draws) -> Tensor:
        """D's logits of images with the categories of ``rows``, or with any."""
        if self.augment is not None:
            images = self.augment(images, draws)
        if rows is None:
            any_category: Tensor = self.discriminator(images, None)
            return any_category
        one_hot = self.generator.one_hot["seen"]
        told = nn.functional.one_hot(rows, self.generator.listed).float() if one_hot else self.vectors[rows]
        logits: Tensor = self.discriminator(images, told)
        return logits

    def knowledge(self, images: Tensor, rows: Tensor, draws: Draws) -> Tensor:
        """Distance of E's reading of ``images`` from the vectors of ``rows``; E stays as it is."""
        return self.embedding(self.view(images, draws), self.targets(rows))

    @property
    def vectors(self) -> Tensor:
        return self.generator.table.vectors


def adversarial_stage(
    losses: KGGANLosses,
    batches: Batches,
    on_step: Callable[[int, dict[str, float]], None],
    preview: Callable[[], Tensor],
    *,
    name: str = "adversarial",
    head_start: int = 0,
    ema_rampup: float | None = 0.5,
) -> Stage:
    """One stage that trains the generating network and D; E and the table are in no group.

    Args:
        losses: of one step.
        batches: of seen images.
        on_step: called after each.
        preview: draws a grid.
        name: of the stage.
        head_start: steps that D is ahead.
        ema_rampup: see ``Stage``.
    """
    training, live, judge = losses.training, losses.live, losses.discriminator
    judged = {"adversarial": 1.0, "realism": training.realism_on_unseen}
    return Stage(
        name=name,
        steps=training.steps,
        batches=batches,
        groups={
            "generator": ParamGroup(
                list(live.parameters()), lr=training.generator_lr or training.lr, betas=(0.0, 0.9)
            ),
            "discriminator": ParamGroup(list(judge.parameters()), lr=training.lr, betas=(0.0, 0.9)),
        },
        phases=[
            Phase("discriminator", "discriminator", losses.discriminator_terms, judged),
            Phase(
                "generator",
                "generator",
                losses.generator_terms,
                losses.generator_weights(),
                every=training.discriminator_steps,
                start=head_start,
            ),
        ],
        modules={"generator": live, "discriminator": judge},
        averages={"generator": (live, losses.generator.network)},
        ema_half_life=training.ema_half_life,
        ema_rampup=ema_rampup,
        on_step=[on_step],
        preview=preview,
    )
