import pytest
import torch

from lowshotgan.data.synthetic import faces
from lowshotgan.errors import ConfigError
from lowshotgan.metrics.consistency import edge_agreement, rank_correlation, relation_agreement
from lowshotgan.metrics.perceptual import perceptual_vectors
from lowshotgan.metrics.similarity import edges, ssim


def test_equal_images_agree_wholly_and_colour_does_not_matter(drawings):
    images = drawings[:8]
    assert edge_agreement(images, images).tolist() == pytest.approx([1] * 8)
    negative = edge_agreement(images, 255 - images)
    assert negative.min() > 0.999


def test_same_content_agrees_more_than_other_content():
    flat, line = (faces(20, resolution=64, style=style, seed=1) for style in ("flat", "line"))
    assert edge_agreement(flat, line).mean() > edge_agreement(flat, line.roll(1, 0)).mean() + 0.05


def test_flat_images_have_no_edges_and_agree():
    blank = torch.full((2, 3, 16, 16), 90, dtype=torch.uint8)
    assert edge_agreement(blank, blank).tolist() == [1, 1]


def test_a_step_gives_a_sobel_edge_of_full_strength():
    images = torch.zeros(1, 3, 8, 8, dtype=torch.uint8)
    images[..., 4:] = 255
    found = edges(images)[0, 0]
    torch.testing.assert_close(found[:, 3:5], torch.ones(8, 2))
    assert found[:, :3].sum() == 0


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ([1, 2, 3, 4], [10, 20, 30, 99], 1.0),
        ([1, 2, 3, 4], [4, 3, 2, 1], -1.0),
        ([1, 2, 2, 3], [1, 2, 3, 4], 4.5 / (4.5 * 5) ** 0.5),
    ],
)
def test_rank_correlation_by_hand(a, b, expected):
    assert rank_correlation(torch.tensor(a), torch.tensor(b)) == pytest.approx(expected)


def test_relations_survive_a_change_of_colours_better_than_a_shuffle(tiny):
    images = faces(24, resolution=32, seed=2)
    source, changed = (perceptual_vectors(tiny.maps, x) for x in (images, 255 - images))
    assert relation_agreement(source, source) == pytest.approx(1)
    assert relation_agreement(source, changed) > relation_agreement(source, changed.roll(5, 0)) + 0.2


def test_sets_that_do_not_pair_up_are_refused(drawings):
    with pytest.raises(ConfigError, match="same seeds"):
        edge_agreement(drawings[:3], drawings[:4])
    with pytest.raises(ConfigError, match="at least three"):
        relation_agreement(torch.zeros(2, 4), torch.zeros(2, 4))


def test_ssim_is_one_for_equal_images_and_falls_with_noise(drawings):
    images = drawings[:6]
    generator = torch.Generator().manual_seed(0)

    def noisy(sigma):
        noise = sigma * torch.randn(images.shape, generator=generator)
        return (images + noise).clamp(0, 255).to(torch.uint8)

    scores = [float(ssim(images, other).mean()) for other in (images, noisy(10), noisy(40), images.roll(1, 0))]
    assert scores[0] == pytest.approx(1)
    assert scores == sorted(scores, reverse=True)


def test_ssim_of_two_flat_images_has_a_closed_form():
    """Without variance only the luminance term is left: (2ab + c1) / (a^2 + b^2 + c1)."""
    a, b = (torch.full((1, 3, 16, 16), level, dtype=torch.uint8) for level in (51, 102))
    expected = (2 * 0.2 * 0.4 + 1e-4) / (0.04 + 0.16 + 1e-4)
    assert float(ssim(a, b)) == pytest.approx(expected, rel=1e-3)


def test_ssim_needs_room_for_its_window():
    small = torch.zeros(1, 3, 8, 8, dtype=torch.uint8)
    with pytest.raises(ConfigError, match="at least 11 px"):
        ssim(small, small)
