"""What SyncGAN measures of itself: the synchronizer on held-out items, and what error each way of transfer leaves."""

import copy
import logging

import pytest
import torch

from lowshotgan.api import create_model, finetune, load
from lowshotgan.errors import ImageInputError
from lowshotgan.systems.syncgan.config import SyncGANTraining
from lowshotgan.systems.syncgan.data import read_sync_data
from lowshotgan.systems.syncgan.inversion import Search
from lowshotgan.systems.syncgan.measures import LOOKED_AT, Exam, usual_errors
from lowshotgan.systems.syncgan.modalities import VectorModality
from lowshotgan.train.loop import LoopSettings, fit
from lowshotgan.train.machine import Machine
from lowshotgan.train.source import train_source

CENTRES = torch.tensor([[0.7, 0.7], [0.7, -0.7], [-0.7, 0.7], [-0.7, -0.7]])
QUIET = {"device": "cpu", "progress": False}


def vectors(**options):
    torch.manual_seed(0)
    sizes = {"concept_dim": 4, "private_dim": 2, "synchronizer_width": 4, **options}
    model = create_model("syncgan_32", modalities={"a": VectorModality(2), "b": VectorModality(2)}, **sizes)
    model.statistics_samples = 100
    return model


def clusters(n=80, seed=0):
    labels = torch.arange(n) % 4
    noise = 0.1 * torch.randn(2, n, 2, generator=torch.Generator().manual_seed(seed))
    points = {"a": CENTRES[labels] + noise[0], "b": CENTRES[3 - labels] + noise[1]}
    return {name: one.clamp(-1, 1) for name, one in points.items()}


def labelled(n=80, seed=0):
    return clusters(n, seed) | {"labels": dict.fromkeys("ab", torch.arange(n) % 4)}


def few(n=6):
    return clusters(24, seed=5) | {"pairs": [(i, i) for i in range(n)]}


def messages(caplog):
    return [record.getMessage() for record in caplog.records]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A model with encoders."""
    settings = {"steps": 60, "batch_size": 16, "synchronizer_steps": 60, "encoder_steps": 200, "lr": 2e-3}
    settings["ema_half_life"] = 5.0
    folder = tmp_path_factory.mktemp("trained")
    return train_source(vectors(encoders=True), labelled(), output_dir=folder, training=settings, **QUIET).model


# ---- the synchronizer ----


def test_a_few_pairs_are_not_assessed_and_an_old_figure_is_dropped(trained, tmp_path, caplog):
    assert trained.details["synchronizer"]["held_out_auc"] > 0.9
    settings = {"steps": 1, "batch_size": 4, "synchronizer_steps": 1, "encoder_steps": 1, "precision": "fp32"}
    with caplog.at_level(logging.WARNING, logger="lowshotgan"):
        run = finetune(trained, pairs=few(), output_dir=tmp_path, **settings, **QUIET)
    assert "synchronizer" not in run.model.details and "synchronizer" in trained.details
    (told,) = [text for text in messages(caplog) if "held out" in text]
    assert "6 pairs are fewer than 20" in told and "not known" in told


@pytest.mark.parametrize(
    ("data", "why"),
    [(few(19), "19 pairs are fewer than 20"), (labelled(36), "fewer than two labels have 10 items"),
     (few(20), None), (labelled(40), None)],
)  # fmt: skip
def test_what_is_missing_is_said(data, why, caplog):
    model = vectors()
    items = read_sync_data(data, model.modalities)
    with caplog.at_level(logging.INFO, logger="lowshotgan"):
        found = Exam(model.discriminator.synchronizer, items, items.split()[1]).told()
    assert (found == {}) == (why is not None)
    assert any((why or "AUC of") in text for text in messages(caplog))


def test_of_many_held_out_pairs_some_are_compared(monkeypatch):
    model, count = vectors(), 20 * LOOKED_AT
    items = model.read_data(clusters(count) | {"pairs": [(i, i) for i in range(count)]})
    synchronizer, held_out, sizes = model.discriminator.synchronizer, items.split()[1], []
    compare = synchronizer.combinations

    def counted(first, second, names):
        sizes.append((len(first), len(second)))
        return compare(first, second, names)

    monkeypatch.setattr(synchronizer, "combinations", counted)
    assert 0 <= Exam(synchronizer, items, held_out).auc() <= 1
    assert len(held_out) == 2 * LOOKED_AT and sizes == [(LOOKED_AT, LOOKED_AT)]


def test_the_first_stage_ends_when_the_synchronizer_is_ready(tmp_path):
    def stages(model, **settings):
        training = SyncGANTraining(steps=1, batch_size=16, synchronizer_steps=400, **settings)
        return model.stages(model.read_data(labelled()), training)

    def train(stage, folder, **options):
        settings = LoopSettings(precision="fp32", **options)
        return fit([stage], output_dir=tmp_path / folder, machine=Machine("cpu"), settings=settings).steps

    model = vectors()
    assert train(next(stages(model, synchronizer_auc=0.9)), "early") in (50, 100, 150, 200)
    items = model.read_data(labelled())
    assert Exam(model.discriminator.synchronizer, items, items.split()[1]).auc() >= 0.9
    again = next(stages(vectors(), synchronizer_auc=0.9))  # a run that was stopped between two stages
    assert train(again, "early") == again.steps < 400
    few_steps = next(stages(vectors()))
    assert not few_steps.on_step and few_steps.steps == 400


def test_the_first_stage_may_be_left_out():
    training = SyncGANTraining(steps=1, batch_size=4, synchronizer_steps=0)
    model = vectors()
    assert [stage.name for stage in model.stages(model.read_data(labelled()), training)] == ["adversarial"]
    assert "synchronizer" not in model.details


# ---- transfer ----


def test_the_usual_error_is_what_nearly_all_items_stay_under(trained):
    items = {name: one[:, :, None, None] for name, one in clusters(20, seed=3).items()}
    found = usual_errors(trained.generator, trained.discriminator, items, ["encoder", "hybrid"])
    for method, by_name in found.items():
        for source, to in (("a", "b"), ("b", "a")):
            search = Search(method, restarts=1)
            error = search.find(trained.generator, trained.discriminator, items[source], (source, to)).error
            assert by_name[source] == pytest.approx(float(error.quantile(0.95)), rel=0.01)
            assert int((error > by_name[source]).sum()) <= 1


def test_each_way_of_transfer_has_a_bound_of_its_own(trained, tmp_path, caplog):
    usual = trained.details["transfer"]
    assert set(usual) == {"encoder", "hybrid", "optimize", "nearest"} and set(usual["hybrid"]) == {"a", "b"}
    assert usual["hybrid"]["a"] < usual["encoder"]["a"] < usual["nearest"]["a"]
    trained.save_pretrained(tmp_path)
    model = load(tmp_path)
    assert model.details["transfer"] == usual
    items = clusters()["a"]
    with caplog.at_level(logging.WARNING, logger="lowshotgan"):
        error = model.transfer(items, to="b", method="hybrid").error
    worse = int((error > usual["hybrid"]["a"]).sum())
    assert 0 < worse < len(items) / 4  # none, by the looser bound of the encoder
    assert int((error > usual["encoder"]["a"]).sum()) < worse
    assert f"{worse} of 80 items are met worse" in messages(caplog)[0]


def test_without_encoders_too_odd_items_are_told(tmp_path, caplog):
    settings = {"steps": 60, "batch_size": 16, "synchronizer_steps": 20, "lr": 2e-3, "ema_half_life": 5.0}
    run = train_source(vectors(), labelled(), output_dir=tmp_path, training=settings, **QUIET)
    assert set(run.model.details["transfer"]) == {"optimize", "nearest"}
    run.model.details["transfer"]["optimize"]["a"] = 1e-9
    with caplog.at_level(logging.WARNING, logger="lowshotgan"):
        run.model.transfer(torch.tensor([[0.99, 0.01]]), to="b", steps=5)
    assert "1 of 1 items are met worse than 95%" in messages(caplog)[0]


def test_models_saved_without_bounds_by_method_use_the_encoders(trained, caplog):
    model = copy.deepcopy(trained)
    del model.details["transfer"]
    items = clusters()["a"][:4]
    with caplog.at_level(logging.WARNING, logger="lowshotgan"):
        model.transfer(items, to="b")
        model.details["encoders"]["error_95_a"] = 0.0
        model.transfer(items, to="b", method="nearest")
        assert not messages(caplog)
        model.transfer(items, to="b")
    assert "4 of 4 items" in messages(caplog)[0]


def test_fine_tuning_trains_the_encoders_again_or_forgets_them(trained, tmp_path):
    settings = {"steps": 60, "batch_size": 6, "synchronizer_steps": 1, "lr": 4e-3, "precision": "fp32", **QUIET}
    runs = {
        steps: finetune(trained, pairs=few(), output_dir=tmp_path / str(steps), encoder_steps=steps, **settings).model
        for steps in (0, 200)
    }
    assert runs[0]._method("auto") == "optimize" and "encoder" not in runs[0].details["transfer"]
    assert runs[200]._method("auto") == "hybrid" and runs[200].details["encoders"] == {"steps": 200}
    items, errors = few()["a"], {}
    for steps, model in runs.items():
        model.details["encoders"] = {}
        errors[steps] = float(model.transfer(items, to="b", method="encoder").error.mean())
    assert errors[200] < 0.8 * errors[0]  # of those left as they were
    assert type(trained).FineTuning().encoder_steps > 0


def test_items_of_the_wanted_modality_are_recognised(tmp_path):
    lines = {"image": "image:1x16x16", "numbers": "vector:2"}
    model = create_model("syncgan_32", modalities=lines, width=4)
    with pytest.raises(ImageInputError, match="are numbers already"):
        model.transfer(torch.zeros(1, 2), to="numbers")
    with pytest.raises(ImageInputError) as found:
        model.transfer(tmp_path / "nothing.png", to="numbers")
    assert "already" not in str(found.value)
