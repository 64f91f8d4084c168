"""Configuration of KG-GAN for categories without images, and of its training."""

from dataclasses import dataclass, replace

from lowshotgan.checks import not_negative, one_of, positive, power_of_two, whole, within
from lowshotgan.data.knowledge import NUISANCES, TEXTS, attribute_groups
from lowshotgan.errors import ConfigError
from lowshotgan.losses.knowledge_guided import DISTANCES

INDICATIONS = ("embedding", "one_hot")


@dataclass(frozen=True)
class KGGANConfig:
    """Constructor arguments; ``create_model(..., knowledge=...)`` fills in those that describe the knowledge.

    Attributes:
        resolution: side of the images.
        categories: names of all categories, in the order of the table of vectors.
        seen: those with images; the others have vectors only.
        dimensions: names of the numbers in a vector, ``group=value`` for attributes.
        nuisance: ``group:transform`` pairs; the transform does not change that group of attributes.
        knowledge_source: where the vectors came from.
        components: principal components of the seen vectors that are kept; 0 for all dimensions as they are.
        listed: categories known when training began; one-hot indications have that length. 0 stands for all.
        seen_indication: how a seen category is told to the generator and the discriminator, "embedding" or "one_hot".
        unseen_indication: how an unseen one is told to the generator.
        backbone: "residual" (spectrally normalised residual networks) or "plain" (for 32 px on a CPU).
        z_dim: length of a latent.
        width: channels of the generator at full resolution.
        discriminator_width: channels of the discriminator's first layer.
        condition_dim: length the plain generator projects a category to.
        embedding_width: channels of the first layer of the embedding network.
        embedding_nets: embedding networks that read every image; 3 are harder to fool than 1 and take as many times longer.
        cell: side in pixels of the square cells that the networks read and draw as channels; larger ones cost less.
    """

    resolution: int = 64
    categories: tuple[str, ...] = ()
    seen: tuple[str, ...] = ()
    dimensions: tuple[str, ...] = ()
    nuisance: tuple[str, ...] = ()
    knowledge_source: str = "table"
    components: int = 0
    listed: int = 0
    seen_indication: str = "embedding"
    unseen_indication: str = "embedding"
    backbone: str = "residual"
    z_dim: int = 128
    width: int = 64
    discriminator_width: int = 64
    condition_dim: int = 32
    embedding_width: int = 32
    embedding_nets: int = 1
    cell: int = 1

    def __post_init__(self) -> None:
        for name in ("categories", "seen", "dimensions", "nuisance"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        if not self.categories:
            raise ConfigError(
                'kggan needs knowledge: pass knowledge=Knowledge.from_attributes({...}) and seen=["..."] to create_model; '
                'on the command line give a recipe (--recipe FILE) whose [model] has an arch, knowledge = "table.csv" and '
                "unseen = [...]."
            )
        object.__setattr__(self, "listed", self.listed or len(self.categories))
        power_of_two("resolution", self.resolution, low=16, high=256)
        power_of_two("cell", self.cell, low=1, high=self.resolution // 16)
        for name in ("z_dim", "width", "discriminator_width", "condition_dim", "embedding_width", "embedding_nets"):
            if not isinstance(positive(name, getattr(self, name)), int):
                raise ConfigError(f"{name} must be a whole number, got {getattr(self, name)!r}.")
        one_of("seen_indication", self.seen_indication, INDICATIONS)
        one_of("unseen_indication", self.unseen_indication, INDICATIONS)
        one_of("backbone", self.backbone, ("residual", "plain"))
        self._check_categories()
        self._check_listed()

    def _check_listed(self) -> None:
        """One-hot indications have a place for the first ``listed`` categories alone."""
        whole("listed", self.listed)
        names = {"seen": self.seen, "unseen": self.unseen}
        told = {"seen": self.seen_indication, "unseen": self.unseen_indication}
        one_hot = {name for side, kind in told.items() if kind == "one_hot" for name in names[side]}
        beyond = [name for name in self.categories[self.listed :] if name in one_hot]
        if beyond:
            raise ConfigError(f"{beyond[0]!r} is told one-hot, but is not among the first {self.listed} categories.")

    def _check_categories(self) -> None:
        strangers = [name for name in self.seen if name not in self.categories]
        if strangers:
            raise ConfigError(f"the seen category {strangers[0]!r} has no vector; add it to the knowledge.")
        if len(self.seen) < 2:
            raise ConfigError(f"kggan needs at least two seen categories, got {list(self.seen)}.")
        if not 0 <= self.components <= min(len(self.dimensions), len(self.seen) - 1):
            raise ConfigError(
                f"components must be 0 to {min(len(self.dimensions), len(self.seen) - 1)} (seen categories less one, and "
                f"the dimensions there are), got {self.components!r}."
            )
        for pair in self.nuisance:
            group, _, transform = pair.partition(":")
            one_of("nuisance transform", transform, NUISANCES)
            one_of("nuisance group", group, attribute_groups(self.dimensions))
        if self.nuisance and self.components:
            raise ConfigError("nuisance needs attribute groups, which components mix; leave one of them out.")

    @property
    def unseen(self) -> tuple[str, ...]:
        """Categories that are not seen."""
        return tuple(name for name in self.categories if name not in self.seen)

    @property
    def embedding_dim(self) -> int:
        """Length of a vector as the networks see it."""
        return self.components or len(self.dimensions)


@dataclass(frozen=True)
class KGGANTraining:
    """How KG-GAN is trained: the embedding network first, then generator and discriminator.

    Attributes:
        steps: of the adversarial stage, counted in discriminator steps.
        batch_size: images per step over all processes.
        embedding_steps: of the embedding network.
        folds: times the embedding network is also trained without some of the seen categories, to estimate how it does
            on categories it never saw; 0 for no estimate.
        warm_up_steps: of the generator alone before the adversarial stage, redrawing seen images from codes of their
            outlines; 0 for none, as in the paper.
        warm_up_lr: Adam's learning rate there.
        anchor_weight: of redrawing in the adversarial stage, after a warm-up.
        lr: Adam's learning rate of generator and discriminator, betas (0, 0.9).
        generator_lr: of the generator alone, where it should differ; 0 for ``lr``.
        embedding_lr: of the embedding network, betas (0.9, 0.999).
        embedding_weight_decay: of the embedding network; by default 1e-4 for text embeddings and 0 otherwise.
        discriminator_steps: for each step of the generator.
        knowledge_weight: of both semantic losses, which sum over the dimensions of vectors of length about 1.
        distance: "l2", "l1" or "cosine".
        realism_on_unseen: weight of a term outside the paper and its claims: the discriminator, told no category, also
            judges images of unseen categories. 0 (none) by default.
        shift: largest shift in pixels of what the embedding network sees.
        noise: standard deviation of noise on what it sees.
        erase: side of a square that is erased in what it sees, as a share of the image's; by default 0.25 for text
            embeddings and 0 otherwise.
        flip: mirror images at random; off for text, and for knowledge that tells left from right.
        ema_half_life: of the averaged generator, in steps.
    """

    steps: int = 20_000
    batch_size: int = 64
    embedding_steps: int = 1_000
    folds: int = 3
    warm_up_steps: int = 0
    warm_up_lr: float = 2e-3
    anchor_weight: float = 0.0
    lr: float = 2e-4
    generator_lr: float = 0.0
    embedding_lr: float = 1e-3
    embedding_weight_decay: float | None = None
    discriminator_steps: int = 5
    knowledge_weight: float = 1.0
    distance: str = "l2"
    realism_on_unseen: float = 0.0
    shift: int = 3
    noise: float = 0.1
    erase: float | None = None
    flip: bool = False
    ema_half_life: float = 700.0

    def __post_init__(self) -> None:
        for name in (
            "steps",
            "batch_size",
            "embedding_steps",
            "lr",
            "warm_up_lr",
            "embedding_lr",
            "discriminator_steps",
        ):
            positive(name, getattr(self, name))
        not_negative(
            self,
            "folds",
            "warm_up_steps",
            "anchor_weight",
            "generator_lr",
            "knowledge_weight",
            "realism_on_unseen",
            "shift",
            "noise",
        )
        not_negative(self, *(name for name in ("erase", "embedding_weight_decay") if getattr(self, name) is not None))
        if self.erase is not None:
            within("erase", self.erase, 0, 0.5)
        if self.anchor_weight and not self.warm_up_steps:
            raise ConfigError("anchor_weight needs a warm-up: set warm_up_steps too, or leave it out.")
        if self.batch_size < 2:
            raise ConfigError("batch_size must be at least 2: the networks normalise over the batch.")
        one_of("distance", self.distance, DISTANCES)

    def for_source(self, source: str) -> "KGGANTraining":
        """The same with everything decided that depends on where the vectors came from."""
        texts = source == TEXTS
        erase = (0.25 if texts else 0.0) if self.erase is None else self.erase
        decay = self.embedding_weight_decay
        return replace(self, erase=erase, embedding_weight_decay=(1e-4 if texts else 0.0) if decay is None else decay)


@dataclass(frozen=True)
class KGGANFineTuning:
    """How a trained KG-GAN learns K images of categories that had none, or too few.

    The images join what the discriminator sees. The embedding network stays as it is; a category of a new name gets the
    mean of what it reads in the images as its vector.

    Attributes:
        steps: counted in discriminator steps.
        batch_size: images per step over all processes; every category of the images comes equally often.
        lr: Adam's learning rate of generator and discriminator, betas (0, 0.9).
        generator_lr: of the generator alone, where it should differ; 0 for ``lr``.
        discriminator_steps: for each step of the generator.
        knowledge_weight: of both semantic losses, which go on.
        distance: as for training; so are ``realism_on_unseen``, ``shift`` and ``noise``.
        hold: weight of the difference from the untouched generator on categories without images here.
        augment: whether the discriminator sees everything by DiffAugment (Zhao et al., NeurIPS 2020).
        flip: mirror images at random.
        ema_half_life: of the averaged generator, in steps.
    """

    steps: int = 300
    batch_size: int = 16
    lr: float = 2e-4
    generator_lr: float = 0.0
    discriminator_steps: int = 1
    knowledge_weight: float = 1.0
    distance: str = "l2"
    realism_on_unseen: float = 0.0
    shift: int = 3
    noise: float = 0.1
    hold: float = 10.0
    augment: bool = True
    flip: bool = False
    ema_half_life: float = 50.0

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "lr", "discriminator_steps", "ema_half_life"):
            positive(name, getattr(self, name))
        not_negative(self, "generator_lr", "knowledge_weight", "realism_on_unseen", "shift", "noise", "hold")
        if self.batch_size < 2:
            raise ConfigError("batch_size must be at least 2: the networks normalise over the batch.")
        one_of("distance", self.distance, DISTANCES)
