"""TensorBoard files: written if they are asked for and the extra is there, refused before a run without it."""

import sys

import pytest

from lowshotgan.errors import MissingExtraError
from lowshotgan.train.log import standard_hooks
from lowshotgan.train.loop import LoopSettings, fit
from lowshotgan.train.machine import Machine


@pytest.mark.filterwarnings("default")
def test_every_loss_term_is_written(tiny, tmp_path):
    pytest.importorskip("tensorboard", reason='pip install "lowshotgan[tracking]"')
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    hooks = standard_hooks(tmp_path, progress=False, tensorboard=True)
    assert not (tmp_path / "tensorboard").exists(), "nothing is written before the first step"
    settings = LoopSettings(precision="fp32")
    seen = []
    fit(
        [tiny.Toy().stage(12)],
        output_dir=tmp_path,
        machine=Machine("cpu"),
        settings=settings,
        hooks=[*hooks, seen.append],
    )
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    written = {name: {event.step: event.value for event in events.Scalars(name)} for name in events.Tags()["scalars"]}
    assert {f"toy/{name}" for name in seen[-1].values} <= set(written)
    for moment in (seen[9], seen[11]):
        for name, value in moment.values.items():
            assert written[f"toy/{name}"][moment.step] == pytest.approx(value, rel=1e-5), name
    assert all(set(steps) <= {10, 12} for steps in written.values())


def test_without_the_extra_nothing_is_begun(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(MissingExtraError, match=r'pip install "lowshotgan\[tracking\]"'):
        standard_hooks(tmp_path, tensorboard=True)
    assert list(tmp_path.iterdir()) == []
