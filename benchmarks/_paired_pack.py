"""The images of a task of ``paired.py``: what may be learnt from, what scores, and how shots are drawn."""

import argparse
from pathlib import PurePosixPath
from typing import Any

import torch
from _paired_groups import same_thing, set_apart
from _paired_scores import Reference
from torch import Tensor

from lowshotgan import load
from lowshotgan.data.appearance import apply_appearance
from lowshotgan.data.base import Subset
from lowshotgan.data.dataset import ImageSet, load_images
from lowshotgan.metrics.extractors import load_extractor

LABELLED = 1000


class Pack:
    """The images of a task: what may be learnt from, what scores, and how a shot is drawn."""

    def __init__(self, options: argparse.Namespace) -> None:
        resolutions = {load(path).config.resolution for path in options.models.values()}
        if len(resolutions) != 1:
            raise SystemExit(f"all --models must have one resolution, got {sorted(resolutions)}.")
        self.options, self.resolution = options, resolutions.pop()
        self.source, self.target = self._pairs() if options.pairs else (self._images(options.split), None)
        if self.target is None:
            groups = list(range(len(self.source)))
        else:
            groups = same_thing(self.source.names, self.source.uint8(), self.target.uint8())
        unseen, self.rest = set_apart(groups, options.held_out)
        if options.score_split:
            unseen_images = self._images(options.score_split, k=options.held_out).uint8()
        else:
            unseen_images = self.source.uint8(unseen)
        style = None if options.pairs else options.style
        targets = self.target.uint8(unseen) if self.target else apply_appearance(unseen_images, options.style)
        labelled = self._labelled() if options.classes and not options.pairs else None
        self.reference = Reference(load_extractor(options.extractor), unseen_images, targets, style, labelled)

    def shots(self, k: int, draw: int) -> dict[str, Tensor]:
        """``source`` and ``target``, ``(K, 3, R, R)`` uint8; a draw with a larger K contains those with a smaller one."""
        order = torch.randperm(len(self.rest), generator=torch.Generator().manual_seed(draw))
        chosen = [self.rest[number] for number in order[:k].tolist()]
        source = self.source.uint8(chosen)
        return {
            "source": source,
            "target": self.target.uint8(chosen) if self.target else apply_appearance(source, self.options.style),
        }

    def learnable(self, most: int = 5000) -> Tensor:
        """Source images that do not score."""
        return self.source.uint8(self.rest[:most])

    def _options(self) -> dict[str, Any]:
        background = tuple(int(level) for level in self.options.background.split(","))
        return {"fit": self.options.fit, "background": background, "enlarge": not self.options.no_enlarge}

    def _images(self, split: str | None, **more: Any) -> ImageSet:
        chosen: dict[str, Any] = {"split": split} if split else {}
        if self.options.classes:
            chosen["classes"] = [int(c) if c.isdigit() else c for c in self.options.classes.split(",")]
        return load_images(self.options.data, resolution=self.resolution, **self._options(), **(chosen | more))

    def _pairs(self) -> tuple[ImageSet, ImageSet]:
        """Both domains in one order, without the copies of a pair that a pack may hold."""
        source, target = (
            load_images(path, resolution=self.resolution, **self._options()) for path in self.options.pairs.split(",")
        )
        if stems(source) != stems(target):
            raise SystemExit("--pairs needs two folders or zips whose files have equal names apart from the ending.")
        first: dict[bytes, int] = {}
        for index, pair in enumerate(torch.cat([source.uint8(), target.uint8()], dim=1)):
            first.setdefault(pair.numpy().tobytes(), index)
        kept = list(first.values())
        source, target = (ImageSet(Subset(one.source, kept), one.preprocess) for one in (source, target))
        return source, target

    def _labelled(self) -> tuple[Tensor, Tensor]:
        """Up to 1,000 images of each class, none of which scores."""
        split = {"split": self.options.split} if self.options.split else {}
        names = [int(c) if c.isdigit() else c for c in self.options.classes.split(",")]
        parts = []
        for name in names:
            all_of_it = load_images(
                self.options.data, resolution=self.resolution, classes=[name], **self._options(), **split
            )
            parts.append(all_of_it.uint8(list(range(min(LABELLED, len(all_of_it))))))
        labels = torch.cat([torch.full((len(part),), number) for number, part in enumerate(parts)])
        return torch.cat(parts), labels


def stems(images: ImageSet) -> list[str]:
    """Names of the images without their endings."""
    return [PurePosixPath(name).with_suffix("").as_posix() for name in images.names]
