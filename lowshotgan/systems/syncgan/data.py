"""Items of several modalities, what of them belongs together, and endless batches of both."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lowshotgan.checks import as_whole, given
from lowshotgan.data.batches import Share
from lowshotgan.data.dataset import draw_subset
from lowshotgan.errors import ConfigError, ImageInputError
from lowshotgan.systems.syncgan.modalities import ImageModality, Modality

HELD_OUT = 0.1
"""Share of each label's items, or of the pairs, that the synchronizer is tested on."""
FEWEST_PAIRS, FEWEST_ITEMS = 20, 10
"""Pairs, or items of a label in each modality, from which on a share is held out."""


class SyncData:
    """Items by modality with a group number each; equal numbers show the same concept, -1 is unknown.

    Args:
        values: modality -> ``(N, C, H, W)`` in [-1, 1].
        groups: modality -> ``(N,)`` int64.
        by_label: whether groups are labels (few, with many items) rather than single pairs.
    """

    def __init__(self, values: Mapping[str, Tensor], groups: Mapping[str, Tensor], *, by_label: bool) -> None:
        self.values, self.groups, self.by_label = dict(values), dict(groups), by_label
        self.common = _in_all(self.groups)
        if len(self.common) < 2:
            raise ImageInputError("pairs must name at least two different concepts; give more labels or pairs.")

    def __len__(self) -> int:
        return sum(len(values) for values in self.values.values())

    def describe(self) -> dict[str, Any]:
        """What identifies the items and pairs, as plain values."""
        digest = hashlib.sha256()
        for name in self.values:
            digest.update(self.values[name].contiguous().numpy().data)
            digest.update(self.groups[name].numpy().data)
        return {"count": {n: len(v) for n, v in self.values.items()}, "digest": digest.hexdigest()}

    def split(self, per_group: int = 0) -> tuple[list[dict[str, Tensor]], list[dict[str, Tensor]]]:
        """Items by group for training pairs, and those held out: a list of groups, each modality -> indices.

        Labels with at least ten items hold out the last tenth of them; pairs the last tenth of all if there are
        twenty; ``why_nothing_is_held_out`` says what is missing. ``per_group`` keeps only the first so many items of
        each label for training.
        """
        members = [
            {n: (g == number).nonzero()[:, 0] for n, g in self.groups.items()} for number in self.common.tolist()
        ]
        if not self.by_label:
            cut = round(len(members) * HELD_OUT) if len(members) >= FEWEST_PAIRS else 0
            return members[: len(members) - cut], members[len(members) - cut :]
        train, held_out = [], []
        for group in members:
            cuts = {n: round(len(rows) * HELD_OUT) if len(rows) >= FEWEST_ITEMS else 0 for n, rows in group.items()}
            kept = {n: rows[: len(rows) - cuts[n]] for n, rows in group.items()}
            train.append({n: rows[:per_group] if per_group else rows for n, rows in kept.items()})
            if all(cuts.values()):
                held_out.append({n: rows[len(rows) - cuts[n] :] for n, rows in group.items()})
        return train, held_out if len(held_out) > 1 else []

    def why_nothing_is_held_out(self) -> str:
        """How many items there are, and how many would be needed."""
        if not self.by_label:
            return f"{len(self.common)} pairs are fewer than {FEWEST_PAIRS}"
        return f"fewer than two labels have {FEWEST_ITEMS} items in every modality"


def read_sync_data(
    data: Any,
    modalities: Mapping[str, Modality],
    *,
    labels: Any = None,
    pairs: Any = None,
    k: int | None = None,
    seed: int = 0,
    **options: Any,
) -> SyncData:
    """Read ``{name: items, ..., "labels": {name: labels}}`` or ``{name: items, ..., "pairs": [(i, j), ...]}``.

    Args:
        data: items of every modality by name, and ``labels`` or ``pairs``; ``pairs="aligned"`` pairs equal positions,
            ``labels="own"`` takes the folder each item lies in, or the label file of idx images.
        modalities: of the model.
        labels: instead of the entry of ``data``; so is ``pairs``. If both are left out and all items are paths, "own".
        k: use only so many of the pairs, drawn by ``seed``; with labels, ``per_group`` of the training says how many.
        seed: of that draw.
        options: of ``load_images``, for all modalities that are images; a mapping under the name of a modality holds
            options of that one alone.

    Raises:
        ImageInputError: if a modality is missing, or labels or pairs do not match the items.
        ConfigError: if ``data`` is no such mapping, or for options that do not apply.
    """
    if isinstance(data, SyncData):
        return _checked(data, modalities)
    if isinstance(data, Mapping):
        told = given(labels=labels, pairs=pairs)
        if not told and not {"labels", "pairs"} & set(data) and all(isinstance(v, str | Path) for v in data.values()):
            told = {"labels": "own"}
        data = {**data, **told}
    if not isinstance(data, Mapping) or ("labels" in data) == ("pairs" in data):
        raise ConfigError(
            f"syncgan reads a mapping with {', '.join(modalities)} and either 'labels' or 'pairs' "
            f"({' '.join(f'--data {name}=PATH' for name in modalities)} on the command line), got "
            f"{sorted(data) if isinstance(data, Mapping) else type(data).__name__}."
        )
    unknown = sorted(set(data) - set(modalities) - {"labels", "pairs"})
    missing = [name for name in modalities if name not in data]
    if unknown or missing:
        raise ImageInputError(f"the modalities are {', '.join(modalities)}; missing {missing}, unknown {unknown}.")
    own = {name: _own(name, options.pop(name, {})) for name in modalities}
    if k is not None and "labels" in data:
        raise ConfigError(f"k={k} counts pairs, but labels were given; leave it out, and set per_group for training.")
    read = {
        name: modality.read_labelled(
            data[name], **(options if isinstance(modality, ImageModality) else {}) | own[name]
        )
        for name, modality in modalities.items()
    }
    values = {name: items for name, (items, _) in read.items()}
    counts = {name: len(items) for name, items in values.items()}
    if "labels" in data:
        found = {name: found for name, (_, found) in read.items()} if data["labels"] == "own" else data["labels"]
        return SyncData(values, _by_labels(found, counts), by_label=True)
    return SyncData(values, _by_pairs(data["pairs"], counts, k, seed), by_label=False)


def _checked(data: SyncData, modalities: Mapping[str, Modality]) -> SyncData:
    """``data`` if it has items of the shapes the model takes."""
    wanted = {name: modality.shape for name, modality in modalities.items()}
    found = {name: tuple(values.shape[1:]) for name, values in data.values.items()}
    if found != wanted:
        raise ConfigError(f"the model has the modalities {wanted}, but these items are {found}.")
    return data


def _own(name: str, options: Any) -> dict[str, Any]:
    if not isinstance(options, Mapping):
        raise ConfigError(f"{name}= holds options of that modality, such as {{'fit': 'pad'}}, got {options!r}.")
    return dict(options)


class PairBatches:
    """Endless ``{"pair/<name>": items, "any/<name>": items, "group": (B,)}``, fixed by seed and position alone.

    ``pair`` items at one position show the same concept; ``any`` items are drawn from everything.

    Args:
        data: items and groups.
        members: groups to draw pairs from, from ``SyncData.split``.
        batch_size: items of each modality in a step over all processes.
        seed: of the draws.
        rank: of this process.
        world_size: number of processes; ``batch_size`` must be a multiple.
        device: where the batches are put.
    """

    def __init__(
        self,
        data: SyncData,
        members: Sequence[Mapping[str, Tensor]],
        batch_size: int,
        *,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
        device: torch.device | str = "cpu",
    ) -> None:
        self.data, self.members, self.seed = data, members, seed
        self.share, self.device = Share(batch_size, rank, world_size), torch.device(device)

    def __iter__(self) -> "PairBatches":
        return self

    def __next__(self) -> dict[str, Tensor]:
        random = torch.Generator().manual_seed((self.seed * 1_000_003 + self.share.turn()) % 2**62)
        size, mine = self.share.batch_size, self.share.mine
        chosen = torch.randint(len(self.members), (size,), generator=random)
        batch = {"group": chosen[mine]}
        for name, values in self.data.values.items():
            places = torch.rand(size, generator=random)
            rows = [self.members[g][name] for g in chosen.tolist()]
            picked = [int(r[int(p * len(r))]) for r, p in zip(rows, places.tolist(), strict=True)]
            batch[f"pair/{name}"] = values[picked[mine]]
            batch[f"any/{name}"] = values[torch.randint(len(values), (size,), generator=random)[mine]]
        return {name: part.to(self.device) for name, part in batch.items()}

    def state_dict(self) -> dict[str, Any]:
        return self.share.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.share.load_state_dict(state)


def _by_labels(labels: Any, counts: Mapping[str, int]) -> dict[str, Tensor]:
    if not isinstance(labels, Mapping) or set(labels) != set(counts):
        raise ImageInputError(f"labels must be a mapping with {', '.join(counts)}, each with a label for each item.")
    listed = {name: _plain(f"labels of {name}", labels[name]) for name in counts}
    for name, count in counts.items():
        if len(listed[name]) != count:
            raise ImageInputError(
                f"{len(listed[name])} labels for {count} items of {name}; give one for each, or None."
            )
        if all(one is None for one in listed[name]):
            raise ImageInputError(
                f"no item of {name} has a label; sort the files into a folder for each concept, or pass labels or pairs."
            )
    every = sorted({str(one) for name in counts for one in listed[name] if one is not None})
    number = {label: index for index, label in enumerate(every)}
    return {name: torch.tensor([-1 if one is None else number[str(one)] for one in listed[name]]) for name in counts}


def _plain(what: str, given: Any) -> list[Any]:
    values = given.tolist() if hasattr(given, "tolist") else given
    if isinstance(values, str | Mapping) or not isinstance(values, Iterable):
        raise ImageInputError(f"{what} must be a list with an entry for each, got {given!r}.")
    return list(values)


def _by_pairs(pairs: Any, counts: Mapping[str, int], k: int | None, seed: int) -> dict[str, Tensor]:
    """Group numbers from tuples of positions; tuples that share an item are one group."""
    if isinstance(pairs, str):
        if pairs != "aligned" or len(set(counts.values())) != 1:
            raise ImageInputError(f"pairs='aligned' needs equally many items of each modality, got {dict(counts)}.")
        pairs = [(i,) * len(counts) for i in range(next(iter(counts.values())))]
    listed = [_places(pair, counts) for pair in _plain("pairs", pairs)]
    listed = [listed[i] for i in draw_subset(len(listed), k, seed, where="the list of pairs")]
    groups = {name: torch.full((count,), -1) for name, count in counts.items()}
    for number, pair in enumerate(listed):
        for (name, count), place in zip(counts.items(), pair, strict=True):
            if not 0 <= place < count:
                raise ImageInputError(f"pair {number} names item {place} of {name}, which has {count} items.")
        _join(groups, pair, number)
    return groups


def _places(pair: Any, counts: Mapping[str, int]) -> tuple[int, ...]:
    """A pair as positions, one in each modality."""
    places = [as_whole(place) for place in pair] if isinstance(pair, Sequence | Tensor | np.ndarray) else []
    found = tuple(place for place in places if place is not None)
    if len(found) < len(places) or len(found) != len(counts):
        raise ImageInputError(
            f"one of the pairs is {pair!r}; a pair has one position for each of {', '.join(counts)}, whole numbers from 0."
        )
    return found


def _join(groups: dict[str, Tensor], pair: Sequence[int], number: int) -> None:
    """Put the items of ``pair`` in one group, with everything any of them belonged to."""
    former = {int(groups[n][i]) for n, i in zip(groups, pair, strict=True)} - {-1}
    for name, place in zip(groups, pair, strict=True):
        for old in former:
            groups[name][groups[name] == old] = number
        groups[name][place] = number


def _in_all(groups: Mapping[str, Tensor]) -> Tensor:
    """Group numbers that occur in every modality, rising."""
    sets = [set(g.tolist()) - {-1} for g in groups.values()]
    return torch.tensor(sorted(set.intersection(*sets)), dtype=torch.long)
