"""Scores of translations where the answer is known."""

import math

import pytest
import torch

from lowshotgan.errors import ConfigError
from lowshotgan.metrics.classifier import inception_like_score, top_k, train_classifier
from lowshotgan.metrics.extractors import load_extractor
from lowshotgan.metrics.scores import compare_reports
from lowshotgan.metrics.translation import RealImages, Translations, layout_distance, measure_translation, pairing


def flat(number, colour, seed):
    """Noisy images of about one colour."""
    noise = torch.randint(0, 60, (number, 3, 64, 64), generator=torch.Generator().manual_seed(seed))
    return (torch.tensor(colour)[None, :, None, None] + noise).clamp(0, 255).to(torch.uint8)


COLOURS = {"blue": (0, 0, 190), "green": (0, 190, 0), "red": (190, 0, 0)}


@pytest.fixture(scope="module")
def scenes():
    return RealImages(load_extractor("rand-vgg11-s0"), {name: flat(12, colour, 1) for name, colour in COLOURS.items()})


def measured(scenes, made):
    content = flat(6, COLOURS["blue"], 3)
    translations = {name: Translations(images, content) for name, images in made.items()}
    return measure_translation(translations, scenes)


def test_right_classes_score_higher_than_wrong_ones(scenes):
    right = measured(scenes, {name: flat(6, COLOURS[name], 4) for name in ("green", "red")})
    wrong = measured(scenes, {"green": flat(6, COLOURS["red"], 4), "red": flat(6, COLOURS["green"], 4)})
    assert right["top1_all"].value == right["top1_test"].value == right["real_all"].value == 1
    assert wrong["top1_all"].value == wrong["top1_test"].value == 0 and wrong["top5_all"].value == 1
    assert right["kernel"].value < 0.1 * wrong["kernel"].value and right["frechet"].value < wrong["frechet"].value
    assert right["score_test"].value == pytest.approx(2, abs=0.2)
    assert not right["frechet"].reliable and "too high with 6" in right.warnings[0]
    with pytest.raises(ConfigError, match="no real images of pink"):
        measured(scenes, {"pink": flat(2, (200, 100, 100), 0)})


def test_reports_stand_side_by_side(scenes):
    reports = {name: measured(scenes, {name: flat(6, COLOURS[name], 4)}) for name in ("green", "red")}
    lines = compare_reports(reports).splitlines()
    assert len(lines) == 4 and "top1-all-rand-vgg11-s0" in lines[0] and "[" in lines[2]
    assert len({line.count("|") for line in lines}) == 1 and lines[3].startswith("| red | 1 |")


def test_the_layout_of_a_picture_is_its_own():
    network = load_extractor("lsg1")
    generator = torch.Generator().manual_seed(0)
    images = torch.zeros(4, 3, 64, 64, dtype=torch.uint8)
    for image in images:
        top, left = torch.randint(0, 40, (2,), generator=generator).tolist()
        image[:, top : top + 20, left : left + 20] = 255
    assert float(layout_distance(network, images, images).max()) < 1e-6
    assert 0.3 < float(layout_distance(network, images, images.flip(0)).mean()) < 2.5


def test_pairs_come_up_evenly_and_need_no_seed():
    contents, shown = pairing(40, 3, 40, 7, 5)
    assert sorted(contents) == list(range(40)) and shown[6] == [6, 0, 1, 2, 3]
    assert pairing(3, 0, 7, 7, 1)[0] == [0, 100 % 7, 200 % 7]
    assert pairing(1, 2, 1000, 9, 1)[0] == [2 * 8888 * 101 % 1000]
    with pytest.raises(ConfigError, match="8 shots"):
        pairing(4, 0, 4, 7, 8)


def test_a_classifier_of_two_clouds():
    generator = torch.Generator().manual_seed(0)
    cloud = torch.randn(40, 3, generator=generator)
    labels = torch.arange(40) % 2
    cloud[:, 0] += 8.0 * labels
    classifier = train_classifier(cloud, labels, 2)
    assert top_k(classifier.posteriors(cloud), labels, 1) == 1
    assert top_k(torch.tensor([[0.2, 0.5, 0.3]]), torch.tensor([2]), 2) == 1
    with pytest.raises(ConfigError, match="1 of them empty"):
        train_classifier(cloud, labels, 3)


def test_the_inception_like_score_between_its_ends():
    assert inception_like_score(torch.eye(4)) == pytest.approx(4)
    assert inception_like_score(torch.full((5, 4), 0.25)) == pytest.approx(1)
    half = torch.tensor([[0.5, 0.5], [1.0, 0.0]])
    by_hand = 0.5 * (0.5 * math.log(0.5 / 0.75) + 0.5 * math.log(0.5 / 0.25)) + 0.5 * math.log(1 / 0.75)
    assert inception_like_score(half) == pytest.approx(math.exp(by_hand), rel=1e-5)
