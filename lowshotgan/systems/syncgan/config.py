"""Configuration of SyncGAN and of its training."""

from dataclasses import dataclass

from lowshotgan.checks import not_negative, one_of, positive, whole, within
from lowshotgan.errors import ConfigError
from lowshotgan.systems.syncgan.modalities import Modality
from lowshotgan.systems.syncgan.specs import parse_modalities


@dataclass(frozen=True)
class SyncGANConfig:
    """Constructor arguments of the networks.

    Attributes:
        resolution: side of the modalities of the architecture; each modality has its own shape.
        modalities: ``name=spec`` lines, two or more; ``create_model(..., modalities={...})`` makes them.
        concept_dim: length of the code all modalities share.
        private_dim: length of each modality's own code, or a length for each of them; 0 for the single-code form.
        prior: of the codes that the generators see: "normal", or "uniform" in (-1, 1). ``latents`` are normal always; a
            uniform prior is made of them.
        preset: "modern" (nearest-neighbour doubling, spectral norms, hinge loss), or "official" for the released
            convolutional networks with cross entropy, at 28, 32 and 64 px.
        synchronizer: "two_tower" (a scaled product of unit vectors) or "concat" (branches, then layers on both).
        width: channels of the generators at full resolution in the modern preset; the discriminators have half as many.
        synchronizer_width: channels of the first layer of a synchronizer branch.
        encoders: whether there is an encoder for each modality, from items to codes, for transfer.
    """

    resolution: int = 32
    modalities: tuple[str, ...] = ("image=image:1x32x32", "audio=logmel:1x32x32@8000/400/200/512/60-3900")
    concept_dim: int = 32
    private_dim: int | tuple[int, ...] = 32
    prior: str = "normal"
    preset: str = "modern"
    synchronizer: str = "two_tower"
    width: int = 32
    synchronizer_width: int = 16
    encoders: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "modalities", tuple(self.modalities))
        for name in ("concept_dim", "width", "synchronizer_width"):
            if not isinstance(positive(name, getattr(self, name)), int):
                raise ConfigError(f"{name} must be a whole number, got {getattr(self, name)!r}.")
        if not isinstance(self.private_dim, int):
            object.__setattr__(self, "private_dim", tuple(self.private_dim))
        if len(self._privates) != len(self.modalities):
            raise ConfigError(f"private_dim={self.private_dim} must be one length, or one for each of the modalities.")
        for length in self._privates:
            whole("private_dim", length, low=0)
        one_of("prior", self.prior, ("normal", "uniform"))
        one_of("preset", self.preset, ("modern", "official"))
        one_of("synchronizer", self.synchronizer, ("two_tower", "concat"))
        for name, modality in self.parsed.items():
            if self.preset == "official" and modality.shape[1] not in (28, 32, 64):
                raise ConfigError(f"the official networks are for 28, 32 and 64 px; {name} is {modality.spec}.")

    @property
    def parsed(self) -> dict[str, Modality]:
        """Modalities by name."""
        return parse_modalities(self.modalities)

    @property
    def privates(self) -> dict[str, int]:
        """Length of each modality's own code."""
        return dict(zip(self.parsed, self._privates, strict=True))

    @property
    def z_dim(self) -> int:
        """Length of a whole code: the concept, then each modality's own part."""
        return self.concept_dim + sum(self._privates)

    @property
    def _privates(self) -> tuple[int, ...]:
        given = self.private_dim
        return given if isinstance(given, tuple) else (given,) * len(self.modalities)


@dataclass(frozen=True)
class SyncGANTraining:
    """How SyncGAN is trained: the synchronizer first, then everything; a warm-up may come between.

    Attributes:
        steps: of the adversarial stage.
        batch_size: items of each modality in a step, over all processes.
        synchronizer_steps: of the first stage, at most; 0 for none, as in the released trainings.
        synchronizer_auc: end the first stage as soon as held-out items are matched with this AUC; 0 to make all steps.
        synchronizer_every: steps of the second stage between two of the synchronizer.
        synchronizer_lr: of both.
        warm_up_steps: between the two, of the generators alone, redrawing items from codes that the synchronizer's towers
            and the items themselves give; 0 for none, as in the paper.
        warm_up_lr: Adam's learning rate there.
        lr: of generators and discriminators; betas (0.5, 0.999).
        discriminator_lr: of the discriminators, if not ``lr``.
        sync_weight: of what the synchronizer says of generated pairs.
        async_weight: of telling apart pairs of independent codes; by default 1 with at least eight groups, 0.25 with
            fewer, 0.5 if groups are pairs.
        per_group: use only the first so many items of each label as pairs; 0 for all.
        sync_sees_fakes: also train the synchronizer to call generated pairs asynchronous.
        shift: largest shift in pixels of what judges see of images.
        ema_half_life: of the averaged generators, in steps.
        encoder_steps: of the last stage, for models with encoders; with 0 they are not used for transfer, as they would
            belong to other generators.
        encoder_lr: of that stage.
    """

    steps: int = 10_000
    batch_size: int = 32
    synchronizer_steps: int = 1_000
    synchronizer_auc: float = 0.0
    synchronizer_every: int = 4
    synchronizer_lr: float = 1e-3
    warm_up_steps: int = 0
    warm_up_lr: float = 2e-3
    lr: float = 4e-4
    discriminator_lr: float | None = None
    sync_weight: float = 1.0
    async_weight: float | None = None
    per_group: int = 0
    sync_sees_fakes: bool = False
    shift: int = 0
    ema_half_life: float = 300.0
    encoder_steps: int = 1_000
    encoder_lr: float = 1e-3

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "synchronizer_every", "synchronizer_lr", "warm_up_lr", "lr"):
            positive(name, getattr(self, name))
        not_negative(self, "synchronizer_steps", "warm_up_steps", "sync_weight", "per_group", "shift", "encoder_steps")
        not_negative(self, "encoder_lr")
        within("synchronizer_auc", self.synchronizer_auc, 0, 1)
        if self.discriminator_lr is not None:
            positive("discriminator_lr", self.discriminator_lr)
        if self.async_weight is not None:
            not_negative(self, "async_weight")
        if self.batch_size < 2:
            raise ConfigError("batch_size must be at least 2: asynchronous pairs need two items.")


@dataclass(frozen=True)
class SyncGANFineTuning(SyncGANTraining):
    """How a trained model learns more pairs; shorter and slower than training."""

    steps: int = 500
    synchronizer_steps: int = 200
    synchronizer_lr: float = 3e-4
    lr: float = 1e-4
    ema_half_life: float = 50.0
    encoder_steps: int = 300
