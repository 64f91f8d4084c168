import math

import pytest
import torch

from lowshotgan.data.synthetic import faces
from lowshotgan.errors import ConfigError
from lowshotgan.metrics.memorization import memorization
from lowshotgan.metrics.perceptual import perceptual_distance


@pytest.fixture(scope="module")
def drawn():
    return faces(70, resolution=64, seed=11)


def test_planted_copies_are_found_and_other_drawings_are_not(tiny, drawn):
    train, held_out, others = drawn[:10], drawn[10:20], drawn[20:]
    copies = torch.cat([train[:4], train[4:6].flip(-1)])
    found = memorization(torch.cat([copies, others]), train, extractor=tiny, held_out=held_out, threshold=0.2)
    assert {pair.fake for pair in found.pairs[:6]} == set(range(6))
    assert {(pair.fake, pair.train) for pair in found.pairs[:6]} == {(i, i) for i in range(6)}
    assert all(pair.ratio < 1e-3 and pair.ssim > 0.999 for pair in found.pairs[:6])
    assert [pair.fake for pair in found.copies] == [pair.fake for pair in found.pairs[: len(found.copies)]]
    assert 6 <= len(found.copies) <= 8
    assert found.rate == len(found.copies) / 56
    assert found.median_ratio > 0.3
    assert memorization(copies, train, extractor=tiny).median_ratio < 1e-3


def test_mirrored_copies_are_marked(tiny, drawn):
    found = memorization(drawn[:5].flip(-1), drawn[:10], extractor=tiny)
    lopsided = [pair for pair in found.pairs if not torch.equal(drawn[pair.train], drawn[pair.train].flip(-1))]
    assert lopsided
    assert all(pair.mirrored for pair in lopsided)


def test_moved_copies_are_still_copies(tiny, drawn):
    moved = torch.nn.functional.pad(drawn[:6].float(), (2, 2, 2, 2), mode="replicate")[:, :, 3:67, :64].to(torch.uint8)
    found = memorization(moved, drawn[:10], extractor=tiny)
    assert [pair for pair in found.pairs if pair.fake == pair.train and pair.ssim > 0.95]
    assert len(found.copies) == 6


def test_the_ratio_equals_the_slow_form(tiny, drawn, monkeypatch):
    fake, train = drawn[30:33], drawn[:4]
    monkeypatch.setattr("lowshotgan.metrics.memorization.REACH", 0)

    def distance(x, y):
        return float(perceptual_distance(tiny.maps, x[None], y[None]))

    def to_either(x, y):
        return min(distance(x, y), distance(x, y.flip(-1)))

    found = {pair.fake: pair for pair in memorization(fake, train, extractor=tiny).pairs}
    for i, image in enumerate(fake):
        j = min(range(4), key=lambda j: to_either(image, train[j]))
        own = min(to_either(train[j], train[k]) for k in range(4) if k != j)
        assert found[i].train == j
        assert found[i].ratio == pytest.approx(to_either(image, train[j]) / own, rel=1e-3)


def test_a_copying_model_is_nearer_to_training_than_to_held_out_images(tiny, drawn):
    train, held_out = drawn[:10], drawn[10:20]
    share = [
        memorization(fake, train, extractor=tiny, held_out=held_out).held_out_share
        for fake in (train, held_out, drawn[20:70])
    ]
    assert share[0] == 1
    assert share[1] == 0
    assert 0.2 < share[2] < 0.8


def test_the_smaller_set_decides_how_many_are_compared(tiny, drawn):
    """With one held-out image against ten training images the training set would nearly always win unfairly."""
    found = memorization(drawn[20:70], drawn[:10], extractor=tiny, held_out=drawn[10:11], seed=3)
    assert found.held_out_share is not None
    assert 0.02 < found.held_out_share < 0.98


def test_one_training_image_has_no_scale(tiny, drawn):
    found = memorization(drawn[:3], drawn[:1], extractor=tiny)
    assert math.isnan(found.rate)
    assert not found.copies
    assert found.pairs[0].fake == 0
    assert found.held_out_share is None


def test_equal_training_images_do_not_divide_by_zero(tiny, drawn):
    found = memorization(drawn[:3], drawn[:1].repeat(3, 1, 1, 1), extractor=tiny)
    assert all(math.isfinite(pair.ratio) for pair in found.pairs)


def test_thresholds_say_whether_they_were_calibrated(tiny, drawn):
    assert not memorization(drawn[:2], drawn[2:5], extractor=tiny).calibrated
    assert memorization(drawn[:2], drawn[2:5], extractor=tiny, threshold=0.1).calibrated


def test_the_picture_shows_pairs_in_two_rows(tiny, drawn):
    fake, train = drawn[:6], drawn[:10]
    picture = memorization(fake, train, extractor=tiny).draw(fake, train, n=4)
    assert picture.size == (4 * 66 + 2, 2 * 66 + 2)


def test_sizes_must_agree(tiny, drawn):
    with pytest.raises(ConfigError, match="one size"):
        memorization(drawn[:2], faces(2, resolution=32), extractor=tiny)
