"""StyleGAN2 as a system: generate, interpolate, project, train from scratch, adapt to K images.

Karras et al., "Analyzing and Improving the Image Quality of StyleGAN", CVPR 2020.
"""

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from lowshotgan.checks import one_of, parse_seeds
from lowshotgan.data.dataset import load_images
from lowshotgan.data.images import from_uint8
from lowshotgan.draws import latents_from_seeds, preview_of
from lowshotgan.errors import ConfigError, DeltaError
from lowshotgan.finetune.adapted import AdaptedGenerator
from lowshotgan.finetune.recipe import parse_trainables
from lowshotgan.hub.store import read_delta, state_digest, write_delta
from lowshotgan.metrics.extractors import load_extractor
from lowshotgan.nets.feature_heads import FeatureHeads
from lowshotgan.nets.features import FeatureNet
from lowshotgan.nets.stylegan2 import Discriminator, Generator, Noise
from lowshotgan.systems.base import System
from lowshotgan.systems.generation import Generation, OutputType, check_drawing, read_latents, requested_latents
from lowshotgan.systems.stylegan2.config import SourceTraining, StyleGAN2Config
from lowshotgan.systems.stylegan2.projection import Projection, project_image
from lowshotgan.systems.stylegan2.stages import average_of, source_stage
from lowshotgan.systems.stylegan2.warm_up import WarmUp
from lowshotgan.systems.walks import parse_stops, walk
from lowshotgan.types import PathLike, Stage


def make_heads(device: torch.device) -> FeatureHeads:
    """Untrained heads on the shipped feature network."""
    features = load_extractor("lsg1", device=device).net
    assert isinstance(features, FeatureNet)
    return FeatureHeads(features).to(device)


class StyleGAN2(System):
    """An unconditional generator with its discriminator.

    Attributes:
        generator: the averaged generator.
        discriminator: its discriminator, or ``None`` if the weights came without one.
        base_name: for a fine-tuned model, what ``load`` finds its base under; ``None`` if the base was never saved.
    """

    system = "stylegan2"
    Config = StyleGAN2Config
    Training = SourceTraining
    generator: Generator
    discriminator: Discriminator | None

    def __init__(self, config: StyleGAN2Config, *, arch: str) -> None:
        super().__init__(config, arch=arch)
        self.generator = Generator(
            config.resolution,
            z_dim=config.z_dim,
            w_dim=config.w_dim,
            mapping_layers=config.mapping_layers,
            channel_base=config.channel_base,
            channel_max=config.channel_max,
            modulation="grouped" if config.modulation == "grouped" else "shared",
        )
        self.discriminator = Discriminator(
            config.resolution, channel_base=config.channel_base, channel_max=config.channel_max
        )
        self._adapted: tuple[AdaptedGenerator, ...] = ()
        self.base_name: str | None = None

    @classmethod
    def from_adapted(
        cls,
        adapted: AdaptedGenerator,
        *,
        like: "StyleGAN2",
        base_name: str | None = None,
        discriminator: Discriminator | None = None,
    ) -> "StyleGAN2":
        """A model with ``adapted`` merged into a plain generator; the configuration is ``like``'s.

        The discriminator has the weights of ``discriminator``, which fine-tuning trained, or those of ``like``'s. The
        model has no ``source_name`` until it is saved: it is another model than its base, which is called ``base_name``.
        """
        model = cls(like.config, arch=like.arch)
        model.generator = adapted.merge().requires_grad_(False)
        model.discriminator = copy.deepcopy(like.discriminator)
        if discriminator is not None and model.discriminator is not None:
            model.discriminator.load_state_dict(discriminator.state_dict())
        model.adopt(adapted, base_name=base_name)
        return model.eval()

    def adopt(self, adapted: AdaptedGenerator, *, base_name: str | None) -> None:
        """Keep ``adapted``, whose merged generator this model has, at hand for ``blend`` and ``save_delta``."""
        self._adapted, self.base_name = (adapted,), base_name

    @property
    def adapted(self) -> AdaptedGenerator | None:
        """The frozen base with the trained tensors, for a fine-tuned model whose base is at hand."""
        return self._adapted[0] if self._adapted else None

    def blend(self, strength: float) -> "StyleGAN2":
        """A model on the line from the base (0) to this fine-tuned model (1); beyond 1 exaggerates.

        The result is where this model is, and is a model of its own: it is saved whole, without a delta.

        Raises:
            DeltaError: if this model was not fine-tuned, or was loaded without its delta.
        """
        adapted = self._need_adapted("blend")
        merged = adapted.merge(strength=strength).requires_grad_(False)
        blended = copy.deepcopy(self)
        blended.generator = merged.to(next(self.generator.parameters()))
        blended._adapted, blended.base_name, blended.source_name = (), None, None
        blended.details["blend"] = strength
        return blended

    def save_delta(self, path: PathLike) -> Path:
        """Save only what fine-tuning trained, pinned to the hash of the base: 3 KB or more, by recipe.

        Args:
            path: a folder, or a file ending in ``.safetensors``; ``load()`` and ``from_delta`` read both.

        Raises:
            DeltaError: if this model was not fine-tuned, or was loaded without its delta.
        """
        adapted = self._need_adapted("save_delta")
        trained = [part.to_dict() for part in adapted.trainables]
        about = {"arch": self.arch, "config": asdict(self.config), "trainable": trained, "details": self.details}
        digest = state_digest(adapted.source.state_dict())
        return write_delta(path, adapted.delta(), base_digest=digest, base=self.base_name, config=about)

    def apply_delta(self, path: PathLike) -> "StyleGAN2":
        """This base model with a delta applied.

        Raises:
            DeltaError: if the delta was trained on other weights than these, or does not fit.
        """
        delta = read_delta(path, base_digest=self.digest)
        adapted = AdaptedGenerator(copy.deepcopy(self.generator), parse_trainables(delta.config["trainable"]))
        adapted.load_delta(delta.tensors)
        model = StyleGAN2.from_adapted(adapted, like=self, base_name=self.source_name)
        model.details = dict(delta.config.get("details", {}))
        return model

    def save_pretrained(
        self, folder: PathLike, *, discriminator: bool = True, extra_files: Mapping[str, Any] | None = None
    ) -> Path:
        """As ``System.save_pretrained``; a fine-tuned model also leaves its delta, so that it can be blended later."""
        written = super().save_pretrained(folder, discriminator=discriminator, extra_files=extra_files)
        if self.adapted is not None:
            self.save_delta(written)
        return written

    def _need_adapted(self, verb: str) -> AdaptedGenerator:
        if self.adapted is None:
            raise DeltaError(
                f"{verb}() needs a fine-tuned model with its base at hand: the result of finetune(), or a run folder "
                "loaded with load()."
            )
        return self.adapted

    def forward(self, latents: Tensor, **options: Any) -> Any:
        """The generator's images ``(B, 3, R, R)`` of latents ``(B, z_dim)``, with gradients; see ``Generator.forward``."""
        return self.generator(latents, **options)

    @torch.no_grad()
    def generate(
        self,
        n: int | None = None,
        *,
        seeds: int | str | Sequence[int] | None = None,
        truncation: float = 1.0,
        latents: Any = None,
        noise: Literal["const", "none", "random"] = "const",
        batch_size: int | None = None,
        output_type: OutputType = "pil",
        **unknown: Any,
    ) -> Generation:
        """Make images; an image depends on its seed alone, not on the others of the call.

        Args:
            n: number of images, seeds 0 to n - 1; 1 if neither ``n``, ``seeds`` nor ``latents`` is given.
            seeds: a seed, several, or text such as ``"0,5,10-19"``.
            truncation: 1 for the full variety; towards 0 every image nears the average one.
            latents: ``(N, z_dim)`` latents z, or ``(N, L, w_dim)`` styles, instead of seeds: a tensor, an array, lists, or
                the ``ws.safetensors`` that ``lowshotgan project`` writes.
            noise: "const" (the stored maps), "none", or "random" (fresh, not fixed by the seed).
            batch_size: images per forward pass; 16 by default.
            output_type: "pil", "pt" or "np"; see ``Generation.images``.

        Raises:
            ConfigError: for unusable seeds, latents or options.
        """
        if unknown:
            raise ConfigError(f"{self.arch} generates from seeds; it takes no {', '.join(sorted(unknown))}.")
        size = check_drawing(batch_size, output_type, truncation=truncation)
        used, given = requested_latents(self.generator.z_dim, n, seeds=seeds, latents=latents)
        one_of("noise", noise, ("const", "none", "random"))
        images = [self._draw(part, truncation, noise) for part in given.split(size)]
        return Generation(torch.cat(images), used, given.cpu(), output_type)

    @torch.no_grad()
    def interpolate(
        self,
        seeds: int | str | Sequence[int] | None = None,
        *,
        latents: Any = None,
        frames: int = 60,
        truncation: float = 0.8,
        loop: bool = True,
        batch_size: int | None = None,
        output_type: OutputType = "pil",
        **unknown: Any,
    ) -> Generation:
        """Walk through styles in equal steps: those given first, then those of ``seeds``.

        Args:
            seeds: two or more, or fewer after ``latents``.
            latents: ``(N, L, w_dim)`` styles, as ``project`` finds them and in any form that ``generate`` takes, or a list
                of such; they are not truncated.
            frames: images in all.
            truncation: of the seeds, as in ``generate``.
            loop: return to the first stop at the end, so that an animation repeats without a jump.
            batch_size: images per forward pass.
            output_type: as in ``generate``.

        Raises:
            ConfigError: for fewer than two stops, or unusable options.
        """
        self.refuse("interpolate", unknown)
        check_drawing(batch_size, output_type, truncation=truncation)
        stops = self._given_styles(latents)
        if seeds is not None or not stops:
            numbers = parse_seeds(seeds) if stops else parse_stops([] if seeds is None else seeds)
            drawn = self.generator.mapping(latents_from_seeds(numbers, self.generator.z_dim).to(self.device))
            stops.append(self.generator.broadcast(self.generator.truncate(drawn, truncation)).cpu())
        ws = torch.cat(stops)
        if len(ws) < 2:
            raise ConfigError("interpolate needs at least two stops; give seeds beside the latents, or more of these.")
        path = walk(ws.flatten(1), frames=frames, loop=loop).unflatten(1, ws.shape[1:])
        return self.generate(latents=path, batch_size=batch_size, output_type=output_type)

    def _given_styles(self, latents: Any) -> list[Tensor]:
        """Styles ``(N, L, w_dim)`` on the CPU, from one thing that ``read_latents`` reads or a list of files or tensors."""
        if latents is None:
            return []
        several = isinstance(latents, list | tuple) and isinstance(next(iter(latents), None), str | Path | Tensor)
        found = [read_latents(one).cpu() for one in (latents if several else [latents])]
        shape = (self.generator.num_ws, self.generator.w_dim)
        wrong = [tuple(one.shape) for one in found if one.shape[1:] != shape]
        if wrong:
            raise ConfigError(
                f"interpolate takes styles (N, {shape[0]}, {shape[1]}) as project() finds them, got {wrong[0]}."
            )
        return found

    def project(self, image: Any, *, steps: int = 300, seed: int = 0, progress: bool = False) -> Projection:
        """Find styles that redraw ``image`` (a path or a PIL image).

        Args:
            image: cropped and resized to the model's resolution.
            steps: optimisation steps; the remaining distance is reported.
            seed: of the noise that explores the styles.
            progress: show a progress bar.

        Raises:
            ImageInputError: if the image cannot be read.
        """
        pixels = load_images([image], resolution=self.config.resolution).uint8()
        return project_image(
            self.generator, from_uint8(pixels).to(self.device), steps=steps, seed=seed, progress=progress
        )

    def stages(
        self,
        images: Any,
        training: SourceTraining | None = None,
        *,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
        preview_seeds: Sequence[int] = range(64),
    ) -> Iterator[Stage]:
        """Training from scratch: an optional warm-up and the adversarial stage; afterwards ``generator`` holds the average.

        Args:
            images: an ``ImageSet`` at the model's resolution.
            training: settings; the paper's by default.
            seed: of the order of images.
            rank: of this process.
            world_size: number of processes.
            preview_seeds: drawn after some steps for the run folder.
        """
        training = training or SourceTraining()
        if self.discriminator is None:
            raise ConfigError(f"{self.arch} was loaded without its discriminator; training needs one.")
        batches = self.batches(images, training, seed=seed, rank=rank, world_size=world_size)
        heads = make_heads(self.device) if training.feature_weight else None
        averaged, live = self.generator, average_of(self.generator).train()
        redraw = None
        if training.warm_up_steps:
            warm_up = WarmUp(live, averaged, self.discriminator, heads, images, training, seed=seed)
            yield warm_up.redrawing_stage(batches)
            redraw = warm_up.redraw if training.anchor_weight else None
            yield warm_up.judge_stage(batches)
            yield warm_up.flow_stage(images, batches)
            yield warm_up.prior_stage(batches, preview=preview_of(averaged, preview_seeds))
        yield source_stage(
            live,
            averaged,
            self.discriminator,
            batches,
            training,
            heads=heads,
            redraw=redraw,
            preview_seeds=preview_seeds,
        )

    def _draw(self, latents: Tensor, truncation: float, noise: Noise) -> Tensor:
        generator = self.generator
        latents = latents.to(self.device, torch.float32)
        if latents.ndim == 2 and latents.shape[1] == generator.z_dim:
            ws = generator.broadcast(generator.truncate(generator.mapping(latents), truncation))
        elif latents.ndim == 3 and latents.shape[1:] == (generator.num_ws, generator.w_dim):
            ws = generator.truncate(latents, truncation)
        else:
            raise ConfigError(
                f"latents must be (N, {generator.z_dim}) or (N, {generator.num_ws}, {generator.w_dim}), "
                f"got {tuple(latents.shape)}."
            )
        image = generator.synthesis(ws, noise=noise)
        assert isinstance(image, Tensor)
        return image.float().cpu()
