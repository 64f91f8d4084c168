import json
import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from lowshotgan.errors import ConfigError
from lowshotgan.metrics.extractors import extractor_from_module
from lowshotgan.metrics.report import METRICS, measure
from lowshotgan.metrics.scores import MetricReport

EVERY = {
    "kernel",
    "frechet",
    "precision",
    "recall",
    "density",
    "coverage",
    "intra_cluster",
    "cluster_coverage",
    "memorized",
    "nearest_ratio",
    "held_out_share",
    "edge_agreement",
    "relation_agreement",
}


@pytest.fixture(scope="module")
def report(tiny, drawings):
    fake, reference, train = drawings[:50], drawings[50:110], drawings[110:]
    return measure(fake, reference, train=train, source=255 - fake, extractor=tiny)


def test_everything_the_images_allow_is_measured(report):
    assert set(report.scores) == EVERY
    assert all(math.isfinite(score.value) for score in report.scores.values())
    assert report["kernel"].low < report["kernel"].high
    assert report.memorization is not None


def test_names_carry_the_extractor(report):
    assert report["KD-tiny"] is report["kernel"]
    assert report["FD-tiny"] is report["frechet"]
    assert report["intra-PD-tiny"] is report["intra_cluster"]
    assert not any(word in report.table() for word in ("FID", "KID", "LPIPS"))


def test_the_same_images_and_seed_give_the_same_report(report, tiny, drawings):
    fake = drawings[:50]
    again = measure(fake, drawings[50:110], train=drawings[110:], source=255 - fake, extractor=tiny)
    assert again == report
    assert not any(report.compare(again).values())


def test_only_what_the_images_allow(tiny, drawings):
    assert set(measure(drawings[:9], drawings[9:20], extractor=tiny).scores) == {
        "kernel",
        "frechet",
        "precision",
        "recall",
        "density",
        "coverage",
    }
    for metrics in (["kernel"], "kernel"):
        assert set(measure(drawings[:9], drawings[9:20], metrics=metrics, extractor=tiny).scores) == {"kernel"}
    with pytest.raises(ConfigError, match="batch_size must be a whole number"):
        measure(drawings[:9], drawings[9:20], extractor=tiny, batch_size=0)


@pytest.mark.parametrize(
    ("metrics", "message"), [(["memorization"], "needs train images"), (["fid"], "metrics must be one of")]
)
def test_impossible_requests_are_refused(tiny, drawings, metrics, message):
    with pytest.raises(ConfigError, match=message):
        measure(drawings[:9], drawings[9:20], metrics=metrics, extractor=tiny)


def test_ten_reference_images_give_warnings_not_errors(tiny, drawings):
    found = measure(drawings[:30], drawings[30:40], train=drawings[30:40], extractor=tiny)
    text = " ".join(found.warnings)
    assert "10 of 10 reference images are training images" in text
    assert "intervals are wide" in text
    assert "FD-tiny needs 32 images" in text
    assert not found["frechet"].reliable
    assert f"[{found['frechet'].value:.4g}]" in found.table()
    assert "held_out_share" not in found.scores


@pytest.mark.parametrize(("n_fake", "n_real", "n_train"), [(1, 1, 1), (2, 2, 2), (3, 0, 2), (2, 1, 3)])
def test_tiny_sets_never_crash(tiny, drawings, n_fake, n_real, n_train):
    fake, reference, train = drawings[:n_fake], drawings[10 : 10 + n_real], drawings[20 : 20 + n_train]
    found = measure(fake, reference, train=train, source=fake, extractor=tiny)
    assert found.warnings
    assert json.loads(found.to_json())["protocol"]["n_real"] == n_real
    assert found.table()


def test_an_extractor_without_maps_leaves_out_what_needs_them(drawings):
    class Means(nn.Module):
        def forward(self, images):
            return images.mean(dim=(2, 3))

    means = extractor_from_module(Means(), name="means", size=32)
    found = measure(drawings[:20], drawings[20:40], train=drawings[40:50], extractor=means)
    assert "intra_cluster" not in found.scores
    assert "has no method maps" in " ".join(found.warnings)


def test_no_fakes_and_wrong_types_are_refused(tiny, drawings):
    with pytest.raises(ConfigError, match="no generated images"):
        measure(drawings[:0], drawings, extractor=tiny)
    with pytest.raises(ConfigError, match="uint8"):
        measure(drawings[:4].float(), drawings, extractor=tiny)


# ---- protocol -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        {"fingerprint": "00000000"},
        {"preprocessing": 2},
        {"reference": "0" * 12},
        {"n_real": 59},
        {"n_fake": 49},
        {"resize": "antialias-32"},
        {"seed": 1},
        {"version": "9.9"},
    ],
)
def test_reports_of_different_protocols_are_not_compared(report, change):
    other = replace(report, protocol=replace(report.protocol, **change))
    with pytest.raises(ConfigError, match=f"cannot be compared: {next(iter(change))} "):
        report.compare(other)


def test_other_images_make_another_protocol(report, tiny, drawings):
    other = measure(drawings[:50], drawings[49:109], extractor=tiny)
    with pytest.raises(ConfigError, match="reference"):
        report.compare(other)


def test_scores_against_other_training_images_are_not_compared(report):
    other = replace(report, protocol=replace(report.protocol, train="0" * 12))
    assert set(report.compare(other)) == {key for key in EVERY if report[key].against != "train"}


def test_a_better_model_compares_as_lower(tiny, drawings):
    generator = torch.Generator().manual_seed(0)
    noise = torch.randint(256, (50, 3, 32, 32), generator=generator).to(torch.uint8)
    reference = drawings[50:110]
    good, bad = (measure(x, reference, metrics=["kernel"], extractor=tiny) for x in (drawings[:50], noise))
    assert good.compare(bad)["kernel"] > 0


def test_reports_survive_json(report):
    again = MetricReport.from_dict(json.loads(report.to_json()))
    assert again == report
    assert json.loads(report.to_json())["protocol"]["id"] == report.protocol.id
    assert len(report.to_dict()["copies"]) == 16
    with pytest.raises(ConfigError, match="no metric report"):
        MetricReport.from_dict({"scores": {}})


def test_an_unknown_score_names_the_known_ones(report):
    with pytest.raises(ConfigError, match="kernel, frechet"):
        report["fid"]


def test_the_table_of_metrics_is_complete():
    assert list(METRICS) == ["kernel", "frechet", "manifold", "intra_cluster", "memorization", "consistency"]
