"""SyncGAN as a system: synchronous items of two or more modalities, and the way from one to another.

Chen, Chen and Hu, "Synchronize the Latent Space of Cross-modal GANs", ICME 2018 (arXiv 1804.00410).
"""

import copy
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from lowshotgan.checks import one_of, whole
from lowshotgan.errors import ConfigError, ImageInputError, LowshotganError
from lowshotgan.messages import tell, warn
from lowshotgan.systems.generation import OutputType, check_drawing, requested_latents
from lowshotgan.systems.settling import Settling
from lowshotgan.systems.syncgan.config import SyncGANConfig, SyncGANFineTuning, SyncGANTraining
from lowshotgan.systems.syncgan.cross_modal import CrossModal
from lowshotgan.systems.syncgan.data import PairBatches, SyncData
from lowshotgan.systems.syncgan.inversion import Search, with_private
from lowshotgan.systems.syncgan.measures import Exam, some_items, usual_errors
from lowshotgan.systems.syncgan.modalities import Modality
from lowshotgan.systems.syncgan.networks import JointGenerator, Judges
from lowshotgan.systems.syncgan.results import JointGeneration, is_picture, pictures, side_by_side
from lowshotgan.systems.syncgan.stages import SyncGANLosses, adversarial_stage, encoder_stage, synchronizer_stage
from lowshotgan.systems.syncgan.warm_up import POOL, Redrawing, warm_up_stage
from lowshotgan.types import PathLike, Stage


class SyncGAN(CrossModal, Settling):
    """One generator for each modality, all driven by one concept, and a judge of what belongs together.

    Attributes:
        generator: the averaged generators.
        discriminator: discriminators, synchronizer and encoders, or ``None`` if the weights came without them.
    """

    system = "syncgan"
    Config = SyncGANConfig
    Training = SyncGANTraining
    FineTuning = SyncGANFineTuning
    generator: JointGenerator
    discriminator: Judges | None

    def __init__(self, config: SyncGANConfig, *, arch: str) -> None:
        super().__init__(config, arch=arch)
        self.generator = JointGenerator(config)
        self.discriminator = Judges(config)
        self._to_transfer: dict[str, Tensor] | None = None

    @torch.no_grad()
    def generate(
        self,
        n: int | None = None,
        *,
        modality: str | Sequence[str] = "both",
        seeds: int | str | Sequence[int] | None = None,
        latents: Tensor | None = None,
        batch_size: int | None = None,
        output_type: OutputType = "pil",
        **unknown: Any,
    ) -> JointGeneration:
        """Make items; the same seed gives synchronous items in every modality.

        Args:
            n: number of items, seeds 0 to n - 1.
            modality: a name, several, or "both" for all.
            seeds: a seed, several, or text such as ``"0,5,10-19"``.
            latents: ``(N, z_dim)`` whole codes instead of seeds.
            batch_size: items per forward pass; 16 by default.
            output_type: of ``images``: "pil", "pt" or "np".

        Raises:
            ConfigError: for an unknown modality or unusable options.
        """
        if unknown:
            raise ConfigError(f"{self.arch} generates from seeds; it takes no {', '.join(sorted(unknown))}.")
        size = check_drawing(batch_size, output_type)
        asked = modality if isinstance(modality, Sequence) and not isinstance(modality, str) else [modality]
        names = list(self.modalities) if modality == "both" else asked
        names = [one_of("modality", name, self.modalities) for name in names]
        used, codes = requested_latents(self.config.z_dim, n, seeds=seeds, latents=latents)
        if codes.ndim != 2 or codes.shape[1] != self.config.z_dim or not names:
            raise ConfigError(
                f"latents must be (N, {self.config.z_dim}) and modality not empty, got {tuple(codes.shape)}."
            )
        values = self._draw(codes, names, size)
        return JointGeneration(pictures(values), used, codes.cpu(), output_type, values, self.modalities)

    @torch.no_grad()
    def transfer(
        self,
        items: Any,
        *,
        to: str,
        from_: str | None = None,
        method: str = "auto",
        n: int = 1,
        steps: int | None = None,
        restarts: int = 2,
        candidates: int = 256,
        seed: int = 0,
        output_type: OutputType = "pil",
    ) -> JointGeneration:
        """The concept of ``items`` in another modality.

        Args:
            items: what the modality reads: paths, images, recordings.
            to: modality of the result.
            from_: of the items; may be left out if there are two.
            method: "encoder" asks the trained encoder for the code; "hybrid" goes on from there by optimisation;
                "optimize" starts it anywhere; "nearest" asks the synchronizer which of some generated items fits best.
                "auto" is "hybrid" where there are encoders, else "optimize".
            n: results for each item, with private parts of their own.
            steps: of the optimisation; by default 50 for "hybrid" and 150 for "optimize".
            restarts: random starts of "optimize", of which each item keeps its best.
            candidates: of "nearest".
            seed: of everything random.
            output_type: of ``images``.

        Returns:
            ``n`` results for each item in turn; ``error`` holds the mean squared difference between each item and
            what its code draws in its own modality. You are warned of items whose error is above that of 95% of some
            training items found in the same way.

        Raises:
            ConfigError: for unknown modalities, or without the judges or encoders that the method asks.
            ImageInputError: for unreadable items, or such as are of the modality ``to`` already.
        """
        check_drawing(None, output_type)
        one_of("to", to, self.modalities)
        source = self._source(from_, to)
        n, restarts, candidates = whole("n", n), whole("restarts", restarts), whole("candidates", candidates)
        steps = None if steps is None else whole("steps", steps)
        search = Search(self._method(method), steps, restarts, candidates, whole("seed", seed, low=0))
        values = self._read(items, source, to if from_ is None else None).to(self.device)
        self.settle()
        found = search.find(self.generator, self.discriminator, values, (source, to))
        self._doubt(found.error, source, search.method)
        generator = self.generator
        looks = [found.latents] + [with_private(generator, found, source, seed=seed + i) for i in range(1, n)]
        codes = torch.stack(looks, dim=1).flatten(0, 1)
        made = self._draw(codes, [to], 16)
        error = found.error.repeat_interleave(n)
        return JointGeneration(pictures(made), None, codes.cpu(), output_type, made, self.modalities, error)

    @torch.no_grad()
    def synchrony(self, first: Any, second: Any, *, names: tuple[str, str] | None = None) -> Tensor:
        """``(N,)`` in [0, 1]: how surely items of two modalities show the same concept, position by position.

        Args:
            first: what the first modality reads.
            second: as many of the second.
            names: of the modalities; the first two by default.

        Raises:
            ConfigError: for unequal numbers, or without the judges.
        """
        judges: Judges = self.judges_for("synchrony()")
        asked = tuple(self.modalities)[:2] if names is None else tuple(names)
        if len(asked) != 2:
            raise ConfigError(f"synchrony is of two modalities; got names={names!r}.")
        one, other = asked
        a = self.modalities[one_of("modality", one, self.modalities)].read(first)
        b = self.modalities[one_of("modality", other, self.modalities)].read(second)
        if one == other or len(a) != len(b):
            raise ConfigError(
                f"synchrony needs as many items of two modalities, got {len(a)} {one} and {len(b)} {other}."
            )
        logits: Tensor = judges.synchronizer.eval()(a.to(self.device), b.to(self.device), (one, other))
        return logits.sigmoid().cpu()

    def stages(self, data: SyncData, training: SyncGANTraining | None = None, **process: int) -> Iterator[Stage]:
        """Train the synchronizer, say how good it is, then everything; ``generator`` then holds the average.

        Args:
            data: from ``read_data``.
            training: settings.
            process: ``seed``, ``rank`` and ``world_size``.

        Raises:
            ConfigError: if the model came without its judges.
        """
        training = training or SyncGANTraining()
        judges: Judges = self.judges_for("training")
        members, held_out = data.split(training.per_group)
        averaged, live = self.generator, copy.deepcopy(self.generator).requires_grad_(True).train()
        averaged.eval().requires_grad_(False)
        self._forget(data)
        losses = SyncGANLosses(live, judges.train(), training, self.modalities, hinge=self.config.preset == "modern")
        batch = training.batch_size
        exam = Exam(judges.synchronizer, data, held_out)
        if training.synchronizer_steps:
            ready = exam.reaches(training.synchronizer_auc) if training.synchronizer_auc else None
            pairs = PairBatches(data, members, batch, device=self.device, **process)
            yield synchronizer_stage(losses, pairs, ready=ready)
            self.details |= exam.told()
        self._stale = True
        if training.warm_up_steps:
            size, seed = max(POOL, batch), process.get("seed", 0)
            redrawing = Redrawing(judges.synchronizer, live, data, share=batch / size, seed=seed)
            pools = PairBatches(data, members, size, device=self.device, **process)
            yield warm_up_stage(redrawing, averaged, pools, training, self._preview)
        judges.requires_grad_(True).train()
        weight = training.async_weight
        if weight is None:
            weight = 0.5 if not data.by_label else 1.0 if len(members) >= 8 else 0.25
        yield adversarial_stage(
            losses,
            averaged,
            PairBatches(data, members, batch, device=self.device, **process),
            async_weight=weight,
            on_step=self.moved,
            preview=self._preview,
        )
        if self.config.encoders and training.encoder_steps:
            self.settle()
            batches = PairBatches(data, members, batch, device=self.device, **process)
            yield encoder_stage(averaged, judges.encoders, batches, training)
            self.details["encoders"] = {"steps": training.encoder_steps}

    def finetune_stages(self, data: SyncData, training: SyncGANFineTuning, **process: int) -> Iterator[Stage]:
        """Learn from a few more pairs, beside all the unpaired items given: the stages of training, gently."""
        yield from self.stages(data, training, **process)

    @property
    def _has_encoders(self) -> bool:
        """Whether there are encoders that belong to the generators."""
        return self.discriminator is not None and "encoders" in self.details

    def _method(self, method: str) -> str:
        """The method to use, once it is known that its networks are there."""
        one_of("method", method, ("auto", "encoder", "hybrid", "nearest", "optimize"))
        encoders = self._has_encoders
        if method == "auto":
            return "hybrid" if encoders else "optimize"
        if method != "optimize":
            self.judges_for(f"method={method!r}")
        if method in ("encoder", "hybrid") and not encoders:
            raise ConfigError(
                f"{self.arch} has no trained encoders, which method={method!r} asks; train it with encoders=True and "
                "encoder_steps, or use 'optimize'."
            )
        return method

    def _forget(self, data: SyncData) -> None:
        """Drop what was measured of the networks as they were, and keep the items it will be measured on again."""
        for name in ("synchronizer", "encoders", "transfer"):
            self.details.pop(name, None)
        self._to_transfer = some_items(data)

    def _measure_transfer(self) -> None:
        """Once after a training: what error each way of transfer usually leaves on training items."""
        if self._to_transfer is None:
            return
        self.settle()
        tell("Transferring some training items in each way, to know what error is usual.")
        methods = ["optimize"] + ["nearest"] * (self.discriminator is not None)
        methods += ["encoder", "hybrid"] * self._has_encoders
        self.details["transfer"] = usual_errors(self.generator, self.discriminator, self._to_transfer, methods)
        self._to_transfer = None

    def save_pretrained(self, folder: PathLike, **options: Any) -> Any:
        """Write the model folder (see ``System.save_pretrained``), after a training with the errors of transfer."""
        self._measure_transfer()
        return super().save_pretrained(folder, **options)

    def _doubt(self, error: Tensor, source: str, method: str) -> None:
        """Warn of items that are met worse than nearly all training items, found in the same way."""
        self._measure_transfer()
        usual = self.details.get("transfer", {}).get(method, {}).get(source)
        if usual is None and method != "nearest":  # saved before: the encoder's alone, which is the largest
            usual = self.details.get("encoders", {}).get(f"error_95_{source}")
        worse = int((error > usual).sum()) if usual is not None else 0
        if worse:
            warn(
                f"{worse} of {len(error)} items are met worse than 95% of the training items (error above {usual}); "
                "what they become may mean nothing."
            )

    def _read(self, items: Any, source: str, to: str | None) -> Tensor:
        """Items of ``source``; what cannot be read may turn out to be ``to`` already, if that is given."""
        try:
            return self.modalities[source].read(items)
        except ImageInputError:
            if to is None or not _reads(self.modalities[to], items):
                raise
        raise ImageInputError(f"the items are {to} already; name another modality as to, or pass items of {source}.")

    def _source(self, from_: str | None, to: str) -> str:
        others = [name for name in self.modalities if name != to]
        if from_ is None and len(others) == 1:
            return others[0]
        if from_ not in others:
            raise ConfigError(f"transfer to {to} needs from_= one of {', '.join(others)}; got {from_!r}.")
        return from_

    def _draw(self, codes: Tensor, names: Sequence[str], size: int) -> dict[str, Tensor]:
        self.settle()
        generator = self.generator.eval()
        parts = [part.to(self.device) for part in codes.float().split(size)]
        return {name: torch.cat([generator.one(part, name).float().cpu() for part in parts]) for name in names}

    def _preview(self) -> Tensor:
        with self.unsettled():
            made = self.generate(32)
        square = [values for values in made.values.values() if is_picture(values)]
        return side_by_side(square) if square else made.tensor


def _reads(modality: Modality, items: Any) -> bool:
    try:
        modality.read(items)
    except LowshotganError:
        return False
    return True
