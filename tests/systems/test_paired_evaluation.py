"""``evaluate`` of models learnt from pairs: what held-out pairs tell, and what is refused."""

import pytest
import torch
from paired_worlds import SMALL, small

from lowshotgan.api import evaluate
from lowshotgan.data.images import from_uint8, to_pil, to_uint8
from lowshotgan.data.synthetic import faces
from lowshotgan.errors import ConfigError
from lowshotgan.metrics.extractors import load_extractor
from lowshotgan.metrics.pairs import copying_ratio, edge_consistency_ratio, pair_gap_ratio
from lowshotgan.nets.residual import as_rgb

PAIR_SCORES = {"consistency_ratio", "pair_gap", "copying"}


@pytest.fixture(scope="module")
def held_out():
    return tuple(to_pil(faces(12, resolution=16, style=style, seed=7)) for style in ("flat", "line"))


def with_target(system, **config):
    """A model whose target is a perturbed copy of its source."""
    model = small(system, adapted=True, **config)
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in model.generator.image.target.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape))
    return model


@pytest.mark.parametrize(("system", "channels"), [("lado", 3), ("genho", 1), ("pfsgan", 3)])
def test_held_out_pairs_give_scores_of_the_twins(system, channels, held_out, pairs):
    model = with_target(system, channels=channels)
    report = evaluate(model, held_out, train=pairs, n=20, extractor="lsg1")
    assert PAIR_SCORES & set(report.scores) == PAIR_SCORES - ({"pair_gap"} if system == "pfsgan" else set())
    assert {"kernel", "edge_agreement", "memorized"} <= set(report.scores)
    source, target = as_rgb(model.generate(20, domain="both").tensor).chunk(2, dim=3)
    expected = edge_consistency_ratio(*(from_uint8(to_uint8(one)) for one in (source, target)))
    assert report["consistency_ratio"].value == pytest.approx(expected)
    rows, shots = (model.read_shots(one).rows for one in (held_out, pairs))
    network = load_extractor("lsg1")
    real, learnt = (network(as_rgb(one["target"])) for one in (rows, shots))
    assert report["copying"].value == pytest.approx(copying_ratio(network(to_uint8(target)), real, learnt), rel=1e-4)
    if system != "pfsgan":
        with torch.no_grad():
            codes = [model.content_codes(from_uint8(rows[name])) for name in ("source", "target")]
        assert report["pair_gap"].value == pytest.approx(pair_gap_ratio(*codes), rel=1e-4)


def test_images_alone_are_compared_as_for_any_model(held_out):
    report = evaluate(with_target("lado"), held_out[1], n=8)
    assert "kernel" in report.scores and not PAIR_SCORES & set(report.scores)


def test_metrics_may_be_chosen(held_out, pairs):
    model = with_target("lado")
    assert set(evaluate(model, held_out, train=pairs, metrics=["pairs"], n=8).scores) == PAIR_SCORES
    assert set(evaluate(model, held_out, metrics=["kernel"], n=8).scores) == {"kernel"}


def test_what_pairs_cannot_judge_is_refused(held_out):
    with pytest.raises(ConfigError, match="no target domain that pairs could judge"):
        evaluate(small("lado"), held_out, n=8)
    with pytest.raises(ConfigError, match="two pairs and seeds"):
        evaluate(with_target("lado"), held_out, n=1)
    for options in ({"base": small("lado")}, {"resolution": 32}):
        with pytest.raises(ConfigError, match=next(iter(options))):
            evaluate(with_target("lado"), held_out, n=8, **options)


@pytest.mark.parametrize("system", SMALL)
def test_equal_twins_are_consistent(system, held_out):
    report = evaluate(small(system, adapted=True), held_out, metrics=["pairs"], n=8)
    assert report["consistency_ratio"].value == pytest.approx(0, abs=1e-5)
