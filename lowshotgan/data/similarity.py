"""Near duplicates and odd ones out in a small set of prepared images."""

from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

HASH_BITS = 16
"""Difference hashes of near duplicates differ in at most this many of 128 bits."""
STEP = 3.0
"""Grey levels that neighbouring areas must differ by to count as a step; noise on flat areas does not."""
PIXEL_DISTANCE = 6.0
"""Largest root mean square difference of near duplicates: grey levels, at 16 x 16, equal mean brightness."""
LARGEST_COMPARED = 10_000
"""Above this number of images only those with equal hashes are compared."""
ODD = 2.3
"""Deviation above which an image counts as odd: among ten images of one kind about 3 in 1,000 are called so."""
SPREAD_FLOOR = 8.0
"""Added to every spread, in grey levels, so that a very uniform set does not make small differences large."""
MOST_PAIRS = 10_000
"""The search stops after this many pairs; a set of copies has quadratically many."""
CHUNK = 1024

Hashes = np.ndarray[tuple[int, int], np.dtype[np.uint64]]


def near_duplicates(pixels: Tensor) -> list[tuple[int, int]]:
    """Pairs of images that show the same thing apart from compression, resizing or faint edits.

    Two images pair up if their difference hashes (horizontal and vertical brightness steps at 8 x 8) and
    their 16 x 16 thumbnails are both close, so flat drawings of one kind with equal hashes do not count.

    Args:
        pixels: ``(N, 3, H, W)`` uint8.

    Returns:
        Index pairs (i, j) with i < j, sorted.
    """
    if not len(pixels):
        return []
    hashes, fine = difference_hash(pixels), thumbnails(pixels, 16)
    fine = fine - fine.mean(dim=(1, 2, 3), keepdim=True)  # (N, 3, 16, 16)
    coarse = F.adaptive_avg_pool2d(fine, 4)  # averaging never raises a root mean square difference
    found: list[tuple[int, int]] = []
    for candidates in _close_hashes(hashes):
        for small in (coarse.flatten(1), fine.flatten(1)):
            candidates = candidates[_distance(small, candidates) <= PIXEL_DISTANCE]
        found += [(i, j) for i, j in candidates.tolist()]
        if len(found) >= MOST_PAIRS:
            break
    return sorted(found)[:MOST_PAIRS]


def difference_hash(pixels: Tensor) -> Hashes:
    """``(N, 2)`` 64-bit words: is each of 8 x 8 areas brighter than its right, than its lower neighbour."""
    grey = [part.float().mean(1) for part in torch.split(pixels, CHUNK)]
    across = torch.cat([F.adaptive_avg_pool2d(part, (8, 9)) for part in grey])  # (N, 8, 9)
    down = torch.cat([F.adaptive_avg_pool2d(part, (9, 8)) for part in grey])  # (N, 9, 8)
    bits = torch.stack(
        [across[:, :, :-1] > across[:, :, 1:] + STEP, down[:, :-1] > down[:, 1:] + STEP], dim=1
    )  # (N, 2, 8, 8)
    return np.packbits(bits.flatten(2).numpy(), axis=2).view(np.uint64)[:, :, 0]


def thumbnails(pixels: Tensor, side: int) -> Tensor:
    """``(N, 3, side, side)`` float32 area averages in 0..255."""
    return torch.cat([F.adaptive_avg_pool2d(part.float(), side) for part in torch.split(pixels, CHUNK)])


def odd_ones_out(pixels: Tensor) -> list[tuple[int, str]]:
    """Images that are blank, or unlike the rest of the set in colour, border or texture, each with the reason.

    "Unlike" is a root mean square deviation of more than ``ODD`` from the median image in the 12 numbers of
    ``appearance``, each in units of its spread (median absolute deviation); asked from 8 images on.

    Args:
        pixels: ``(N, 3, H, W)`` uint8.
    """
    if not len(pixels):
        return []
    values = torch.cat([appearance(part) for part in torch.split(pixels, CHUNK)])
    found = {int(i): "nearly one colour" for i in (values[:, 3] < 2.0).nonzero()[:, 0]}
    if len(pixels) >= 8:
        middle = values.median(dim=0).values
        spread = 1.4826 * (values - middle).abs().median(dim=0).values + SPREAD_FLOOR
        deviation = ((values - middle) / spread).square().mean(dim=1).sqrt()
        for i in (deviation > ODD).nonzero()[:, 0].tolist():
            found.setdefault(i, "looks unlike the others")
    return sorted(found.items())


def appearance(pixels: Tensor) -> Tensor:
    """``(N, 12)`` coarse numbers on the scale of grey levels.

    Mean colour (3), contrast, mean border colour (3), contrast of the border, colourfulness, three times the mean
    step between neighbours, and the share of neighbours without a step (once each way, times 255).
    """
    x = pixels.float()
    border = torch.cat([x[:, :, 0], x[:, :, -1], x[:, :, :, 0], x[:, :, :, -1]], dim=2)  # (N, 3, 2H + 2W)
    grey = x.mean(dim=1)
    across = F.pad(grey, (0, 1), mode="replicate").diff(dim=2).abs()  # (N, H, W)
    down = F.pad(grey, (0, 0, 0, 1), mode="replicate").diff(dim=1).abs()
    columns = [
        x.mean(dim=(2, 3)),
        x.flatten(2).std(dim=2, correction=0).mean(dim=1, keepdim=True),
        border.mean(dim=2),
        border.std(dim=2, correction=0).mean(dim=1, keepdim=True),
        (x.amax(dim=1) - x.amin(dim=1)).mean(dim=(1, 2))[:, None],
        3 * (across + down).mean(dim=(1, 2))[:, None],
        *(255 * (step < 1.5).float().mean(dim=(1, 2))[:, None] for step in (across, down)),
    ]
    return torch.cat(columns, dim=1)


def _close_hashes(hashes: Hashes) -> Iterator[Tensor]:
    """Groups of ``(P, 2)`` index pairs whose hashes are close; only equal ones for a large set."""
    if len(hashes) > LARGEST_COMPARED:
        order = np.lexsort((hashes[:, 1], hashes[:, 0]))
        same = (hashes[order][1:] == hashes[order][:-1]).all(axis=1)
        yield torch.from_numpy(np.sort(np.stack([order[:-1][same], order[1:][same]], axis=1), axis=1))
        return
    for start in range(0, len(hashes), CHUNK):
        rest = hashes[start:]
        differing = sum(np.bitwise_count(rest[:CHUNK, None, word] ^ rest[None, :, word]) for word in range(2))
        rows, columns = np.nonzero(differing <= HASH_BITS)
        pairs = np.stack([rows, columns], axis=1)[columns > rows]
        yield torch.from_numpy(pairs + start)


def _distance(small: Tensor, pairs: Tensor) -> Tensor:
    """Root mean square difference of each pair of rows."""
    parts = [(small[a] - small[b]).square().mean(1).sqrt() for a, b in (part.T for part in torch.split(pairs, CHUNK))]
    return torch.cat(parts) if parts else torch.empty(0)
