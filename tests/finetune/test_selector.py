"""The snapshot that is kept: decision rule, memory of five, checkpoint state."""

import pytest
import torch
from torch import Tensor

from lowshotgan.errors import ConfigError
from lowshotgan.finetune.adapted import AdaptedGenerator
from lowshotgan.finetune.engine import build_stage
from lowshotgan.finetune.recipes import RECIPES
from lowshotgan.finetune.selector import Limits, Scores, Selector
from lowshotgan.finetune.trainables import WOffset
from lowshotgan.nets.stylegan2 import Discriminator, Generator


class Judge:
    """Gives prepared scores, and notes what it saw."""

    def __init__(self, *scores: tuple[float, float, float]) -> None:
        self.scores = [Scores(*each) for each in scores]
        self.seen: list[Tensor] = []

    def __call__(self, images: Tensor) -> Scores:
        self.seen.append(images)
        return self.scores[len(self.seen) - 1]


@pytest.fixture
def model(generator: Generator) -> AdaptedGenerator:
    return AdaptedGenerator(generator, [WOffset()])


def move(model: AdaptedGenerator, to: float) -> None:
    with torch.no_grad():
        model.get_parameter("parts.w_offset.offset").fill_(to)


def mean_offset(model: AdaptedGenerator) -> float:
    return float(model.get_parameter("parts.w_offset.offset").detach().mean())


def run(model: AdaptedGenerator, judge: Judge, **options: int) -> Selector:
    selector = Selector(model, judge, every=1, count=4, **options)
    for index in range(len(judge.scores)):
        move(model, float(index))
        selector(index, {})
    return selector


def test_best_fidelity_within_the_limits(model: AdaptedGenerator) -> None:
    judge = Judge((9, 1.0, 0.0), (5, 0.7, 0.04), (3, 0.55, 0.0), (2, 0.9, 0.2), (6, 0.8, 0.0))
    selector = run(model, judge)
    assert selector.best().step == 2  # steps count from 1
    assert selector.qualifies()
    selector.restore()
    assert mean_offset(model) == 1.0


def test_least_violation_when_none_qualifies(model: AdaptedGenerator) -> None:
    selector = run(model, Judge((1, 0.1, 0.0), (4, 0.5, 0.0), (2, 0.9, 0.9)))
    assert selector.best().step == 2
    assert not selector.qualifies()
    limits = Limits()
    assert limits.violation(Scores(0, 0.6, 0.05)) == 0
    assert limits.violation(Scores(0, 0.3, 0.0)) == pytest.approx(0.5)
    assert limits.violation(Scores(0, 1.0, 1.0)) == pytest.approx(1.0)


def test_keeps_five_and_the_whole_history(model: AdaptedGenerator) -> None:
    judge = Judge(*((float(10 - i), 1.0, 0.0) for i in range(8)))
    selector = run(model, judge)
    assert [snapshot.step for snapshot in selector.snapshots] == [8, 7, 6, 5, 4]
    assert [entry["step"] for entry in selector.history] == list(range(1, 9))
    assert [snapshot.scores.fidelity for snapshot in selector.curve()] == [3, 4, 5, 6, 7]


def test_samples_depend_on_the_generator_alone(model: AdaptedGenerator) -> None:
    judge = Judge((1, 1, 0), (1, 1, 0), (1, 1, 0))
    selector = Selector(model, judge, every=2, count=5, batch=2)
    for step in range(6):
        torch.manual_seed(step)
        selector(step, log := {})
        assert ("selector/fidelity" in log) is (step % 2 == 1)
    assert judge.seen[0].dtype == torch.uint8 and judge.seen[0].shape == (5, 3, 16, 16)
    assert torch.equal(judge.seen[0], judge.seen[2])


def test_state_survives_a_checkpoint(model: AdaptedGenerator) -> None:
    selector = run(model, Judge((3, 1.0, 0.0), (2, 1.0, 0.0)))
    again = Selector(model, Judge(), every=1, count=4)
    again.load_state_dict(selector.state_dict())
    assert again.history == selector.history
    assert again.best().scores == Scores(2, 1.0, 0.0)
    again.restore(again.snapshots[1])
    assert mean_offset(model) == 0.0


def test_attaches_to_a_stage(
    generator: Generator, discriminator: Discriminator, images: Tensor, step: object, batches: type
) -> None:
    stage, _, average = build_stage(generator, discriminator, batches(images, 4), RECIPES["wedit"], steps=3)
    selector = Selector(average, Judge((1, 1, 0)), every=2, count=4)
    selector.attach(stage)
    step(stage, 3)  # type: ignore[operator]
    assert stage.state["selector"] is selector
    assert selector.best().step == 2


def test_bad_use_is_refused(model: AdaptedGenerator) -> None:
    with pytest.raises(ConfigError, match="every"):
        Selector(model, Judge(), every=0)
    with pytest.raises(ConfigError, match="nothing yet"):
        Selector(model, Judge(), every=1, count=1).best()
