"""What a fine-tuning needs before its first step: images, their distance to the base, a resolved recipe, a stage."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from lowshotgan.checks import as_whole, given, one_of
from lowshotgan.data.batches import ImageBatches
from lowshotgan.data.dataset import ImageSet, load_images
from lowshotgan.data.images import from_uint8
from lowshotgan.draws import latents_from_seeds
from lowshotgan.errors import RecipeError
from lowshotgan.finetune.adapted import AdaptedGenerator
from lowshotgan.finetune.engine import build_stage
from lowshotgan.finetune.proximity import NEAR, proximity
from lowshotgan.finetune.recipe import Recipe, fit_to
from lowshotgan.finetune.recipes import AUTO, get_recipe
from lowshotgan.finetune.selector import draw_samples
from lowshotgan.metrics.extractors import Extractor, load_extractor
from lowshotgan.systems.base import System
from lowshotgan.systems.registry import VERBS
from lowshotgan.systems.stylegan2.system import StyleGAN2
from lowshotgan.train.loop import LoopSettings
from lowshotgan.train.machine import Machine
from lowshotgan.types import Stage

PROBE_SAMPLES = 300
"""Source samples the distance to the target is measured with."""
REPORT_SEEDS = range(20)


@dataclass(frozen=True)
class AdaptOptions:
    """Choices of a fine-tuning besides the recipe; see ``api.finetune``."""

    recipe: str | Recipe = AUTO
    steps: int | None = None
    batch_size: int | None = None
    k: int | None = None
    flip: bool | None = None
    fit: str = "crop"
    background: tuple[int, int, int] = (255, 255, 255)
    proximity: str | None = None
    extractor: str = "auto"
    overrides: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not isinstance(self.recipe, str | Recipe):
            raise RecipeError(f"recipe must be a name of list_recipes() or a Recipe, got {self.recipe!r}.")
        if self.proximity is not None:
            one_of("proximity", self.proximity, ("near", "far"))
        for name in ("steps", "batch_size", "k"):  # NumPy's whole numbers are no JSON
            number = as_whole(getattr(self, name))
            if number is not None:
                object.__setattr__(self, name, number)


class Adaptation:
    """One fine-tuning, prepared but not begun: everything that can go wrong with the input has gone wrong here.

    Args:
        model: the base, with its discriminator.
        images: anything ``load_images`` opens.
        options: what was asked for.
        settings: of the loop.
        machine: where it runs.
    """

    def __init__(
        self, model: StyleGAN2, images: Any, options: AdaptOptions, settings: LoopSettings, machine: Machine
    ) -> None:
        if not isinstance(model, StyleGAN2):
            raise RecipeError(_not_adapted(model))
        if model.discriminator is None:
            raise RecipeError(
                f"{model.source_name or model.arch} has no discriminator, which fine-tuning needs. Use a model folder "
                "with discriminator.safetensors, or train one."
            )
        self.base, self.settings, self.machine, self.options = model, settings, machine, options
        self.given = images
        self.images: ImageSet = load_images(
            images,
            resolution=model.config.resolution,
            fit=options.fit,
            background=options.background,
            k=options.k,
            seed=settings.seed,
        )
        model.to(machine.device)
        self.pixels = self.images.uint8()
        self.extractor: Extractor = load_extractor(options.extractor, device=machine.device, with_maps=True)
        self.proximity = self._measure_proximity()
        self.recipe = self._resolve()

    @property
    def k(self) -> int:
        return len(self.images)

    @property
    def distance(self) -> Literal["near", "far"]:
        """The proximity in a word, or what the user said."""
        if self.options.proximity is not None:
            return "near" if self.options.proximity == "near" else "far"
        return "near" if self.proximity < NEAR else "far"

    def stage(self) -> tuple[Stage, AdaptedGenerator, AdaptedGenerator]:
        """The stage the loop will run, the live and the averaged generator."""
        batches = ImageBatches(
            self.images,
            self.recipe.batch,
            flip=self.recipe.flip,
            seed=self.settings.seed,
            rank=self.machine.rank,
            world_size=self.machine.world_size,
            device=self.machine.device,
        )
        return build_stage(
            self.base.generator,
            self.base.discriminator,
            batches,
            self.recipe,
            images=from_uint8(self.pixels),
            seed=self.settings.seed,
            preview_seeds=REPORT_SEEDS,
            device=self.machine.device,
        )

    def identity(self) -> dict[str, Any]:
        """What a checkpoint must have been made with. Not the measured distance: another device finds other digits."""
        return {key: value for key, value in self.config().items() if key not in ("budget", "proximity")}

    def config(self) -> dict[str, Any]:
        """Everything the run depends on, as plain values."""
        return {
            "base": self.base.source_name,
            "base_digest": self.base.digest,
            "model": self.base.describe(),
            "images": {"k": self.k, "digest": self.images.digest, "subset": self.images.subset},
            "preprocess": self.images.preprocess.to_dict(),
            "proximity": self.proximity,
            "recipe": self.recipe.to_dict(),
            "extractor": self.extractor.name,
            "seed": self.settings.seed,
            "precision": self.settings.precision,
            "accumulate": self.settings.accumulate,
            "budget": self.settings.budget,
        }

    def why(self) -> str:
        """The recipe's parts in one line; for ``auto`` after the reason it was chosen."""
        parts = self.recipe.explain()
        if self.recipe.name != AUTO:
            return parts
        if self.k == 1:
            return f"One image: only an offset of the styles is trained. {parts}"
        far = self.distance == "far"
        side = "far from the base, so more of it may change" if far else "near enough to keep the base's relations"
        return f"{self.k} images, {side}. {parts}"

    def _measure_proximity(self) -> float:
        latents = latents_from_seeds(list(range(PROBE_SAMPLES)), self.base.generator.z_dim)
        return proximity(self.extractor.maps, self.pixels, draw_samples(self.base.generator, latents))

    def _resolve(self) -> Recipe:
        options = self.options
        recipe = options.recipe
        if isinstance(recipe, str):
            recipe = get_recipe(recipe, k=self.k, far=self.distance == "far")
        asked = given(steps=options.steps, batch=options.batch_size, flip=options.flip)
        changes = {**options.overrides, **asked}
        return fit_to(
            recipe.override(**changes),
            k=self.k,
            world_size=self.machine.world_size,
            accumulate=self.settings.accumulate,
        )


def _not_adapted(model: System) -> str:
    able = ", ".join(sorted(name for name, verbs in VERBS.items() if "finetune" in verbs))
    return f"{model.system} models are not fine-tuned, only trained; finetune() adapts {able}."
