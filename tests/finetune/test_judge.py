"""What a snapshot must keep follows from the variety of the images themselves."""

import pytest
import torch

from lowshotgan.data.synthetic import faces
from lowshotgan.finetune.judge import limits_for
from lowshotgan.finetune.selector import MIN_DIVERSITY
from lowshotgan.metrics.extractors import Extractor, load_extractor


@pytest.fixture(scope="module")
def extractor() -> Extractor:
    return load_extractor("lsg1")


def test_varied_images_are_held_to_the_variety_of_the_source(extractor: Extractor) -> None:
    images = faces(12, resolution=32, seed=0)
    assert limits_for(images, images[:8], extractor).min_diversity == pytest.approx(MIN_DIVERSITY, rel=0.25)
    assert limits_for(images, images[:2].repeat(4, 1, 1, 1), extractor).min_diversity == MIN_DIVERSITY


def test_images_that_resemble_each_other_ask_for_less(extractor: Extractor) -> None:
    source = faces(12, resolution=32, seed=0)
    alike = torch.lerp(source[:1].float(), source[:6].float(), 0.7).to(torch.uint8)
    asked = limits_for(alike, source, extractor).min_diversity
    assert 0.5 * MIN_DIVERSITY < asked < 0.95 * MIN_DIVERSITY
    assert limits_for(source[:1].repeat(6, 1, 1, 1), source, extractor).min_diversity == 0.5 * MIN_DIVERSITY


def test_few_images_say_nothing_about_the_variety_of_their_target(extractor: Extractor) -> None:
    source = faces(12, resolution=32, seed=0)
    assert limits_for(source[:1].repeat(4, 1, 1, 1), source, extractor).min_diversity == MIN_DIVERSITY
