"""The training loop: resumption, stops, lazy penalties, accumulation, averages, gradient sanity."""

import math
import os
import signal

import numpy as np
import pytest
import torch
from torch import nn

from lowshotgan.errors import CheckpointError, ConfigError, DivergenceError
from lowshotgan.train.checkpoint import LATEST, PREVIOUS, load_checkpoint, read_checkpoint, save_checkpoint
from lowshotgan.train.ema import update_average
from lowshotgan.train.loop import MAX_NONFINITE_STEPS, LoopSettings, fit
from lowshotgan.train.machine import Machine
from lowshotgan.train.optimizers import make_optimizer, set_rate
from lowshotgan.train.phases import is_due, only_trainable, split_batch
from lowshotgan.train.precision import choose_precision, settle_precision
from lowshotgan.types import ParamGroup, Phase


def trained(folder):
    """Everything a run left, without its clock."""
    state = read_checkpoint(folder / "checkpoints" / LATEST)
    return {name: value for name, value in state.items() if name != "seconds"}


def equal(a, b) -> bool:
    """Bitwise equality of nested states."""
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(equal(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(equal, a, b))
    return torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b


def fit_toy(stage, folder, **settings):
    return fit([stage], output_dir=folder, machine=Machine("cpu"), settings=LoopSettings(precision="fp32", **settings))


def single(parameters, terms, *, steps=1, tiny, weights=None, lr=0.01, **phase):
    """A stage with one phase on one group."""
    toy = tiny.Toy()
    stage = toy.stage(steps, phases=[Phase("only", "only", terms, weights or {"loss": 1.0}, **phase)])
    stage.groups = {"only": ParamGroup(parameters, lr=lr)}
    return stage


# ---- resumption and stops ----


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_leaves_a_checkpoint_and_resuming_equals_the_uninterrupted_run(tiny, tmp_path, number):
    assert tiny.run(tmp_path / "whole", 10).stopped == "finished"

    def interrupt(step, log):
        if step == 4:
            os.kill(os.getpid(), number)

    result = tiny.run(tmp_path / "parts", 10, on_step=[interrupt])
    assert (result.stopped, result.steps) == ("interrupted", 5)
    result = tiny.run(tmp_path / "parts", 10)
    assert (result.stopped, result.steps) == ("finished", 10)
    assert equal(trained(tmp_path / "whole"), trained(tmp_path / "parts"))
    assert signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler)


def test_resuming_at_every_step_equals_the_uninterrupted_run(tiny, tmp_path):
    tiny.run(tmp_path / "whole", 6)
    for steps in range(1, 7):
        assert tiny.run(tmp_path / "parts", steps).stopped == "finished"
    assert equal(trained(tmp_path / "whole"), trained(tmp_path / "parts"))


def test_a_budget_stops_and_a_larger_one_continues(tiny, tmp_path):
    result = tiny.run(tmp_path, 5, budget=1e-9)
    assert (result.stopped, result.steps) == ("budget", 1)
    spent, before = result.seconds, trained(tmp_path)
    result = tiny.run(tmp_path, 5, budget=1e-9)  # nothing is left of it
    assert (result.stopped, result.steps, result.seconds) == ("budget", 1, spent)
    assert equal(before, trained(tmp_path))
    assert tiny.run(tmp_path, 5, budget=600.0).stopped == "finished"


def test_a_budget_spent_by_one_stage_leaves_none_for_the_next(tiny, tmp_path):
    def run(budget):
        toy = tiny.Toy()
        stages = [toy.stage(1, name="first"), toy.stage(3, name="second")]
        settings = LoopSettings(precision="fp32", budget=budget)
        return fit(stages, output_dir=tmp_path, machine=Machine("cpu"), settings=settings)

    for _ in range(2):
        result = run(1e-9)
        assert (result.stopped, result.steps) == ("budget", 0)
        assert trained(tmp_path)["stage"] == "first"
    assert run(None).stopped == "finished"


def test_a_finished_run_is_not_trained_further(tiny, tmp_path):
    tiny.run(tmp_path, 3)
    before = trained(tmp_path)
    assert tiny.run(tmp_path, 3).stopped == "finished"
    assert equal(before, trained(tmp_path))


def test_never_starts_again_and_must_insists(tiny, tmp_path):
    with pytest.raises(CheckpointError, match="no checkpoint"):
        tiny.run(tmp_path / "none", 2, resume="must")
    tiny.run(tmp_path / "run", 2)
    assert tiny.run(tmp_path / "run", 3, resume="must").steps == 3
    steps = []
    tiny.run(tmp_path / "run", 3, resume="never", on_step=[lambda step, log: steps.append(step)])
    assert steps == [0, 1, 2]


def test_a_checkpoint_of_other_settings_is_refused(tiny, tmp_path):
    settings = {"seed": 1, "recipe": {"lr": 0.002, "flip": True}}
    tiny.run(tmp_path, 2, config=settings)
    said = r"recipe.lr \(0.002 before, 0.001 now\), seed \(1 before, 2 now\)\. Set them back"
    with pytest.raises(CheckpointError, match=said):
        tiny.run(tmp_path, 2, config={"seed": 2, "recipe": {"lr": 0.001, "flip": True}})
    assert tiny.run(tmp_path, 3, config=settings).steps == 3


def test_what_describes_a_run_is_written_once_nothing_forbids_it(tiny, tmp_path):
    begun = []
    with pytest.raises(CheckpointError, match="no checkpoint"):
        tiny.run(tmp_path, 1, resume="must", begin=lambda: begun.append("too early"))
    tiny.run(tmp_path, 1, config={"lr": 1}, begin=lambda: begun.append((tmp_path / "checkpoints").exists()))
    with pytest.raises(CheckpointError, match="lr"):
        tiny.run(tmp_path, 1, config={"lr": 2}, begin=lambda: begun.append("refused"))
    assert begun == [False]


def test_the_seed_decides_the_draws(tiny, tmp_path):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        tiny.run(tmp_path / name, 2, seed=seed)
    states = [trained(tmp_path / name)["modules"] for name in "abc"]
    assert equal(states[0], states[1])
    assert not equal(states[0], states[2])


def test_several_stages_resume_in_the_one_that_was_running(tiny, tmp_path):
    def both(toy, stop_at=None):
        def interrupt(step, log):
            if step == stop_at:
                os.kill(os.getpid(), signal.SIGTERM)

        yield toy.stage(3, name="first")
        with torch.no_grad():
            toy.generator[0].bias.add_(1.0)  # plain computation between two stages
        yield toy.stage(4, name="second", on_step=[interrupt])

    def run(folder, stop_at=None):
        settings = LoopSettings(precision="fp32")
        return fit(both(tiny.Toy(), stop_at), output_dir=folder, machine=Machine("cpu"), settings=settings)

    assert run(tmp_path / "whole").stopped == "finished"
    assert run(tmp_path / "parts", stop_at=1).stopped == "interrupted"
    assert run(tmp_path / "parts").stopped == "finished"
    assert equal(trained(tmp_path / "whole"), trained(tmp_path / "parts"))


def test_a_second_signal_stops_at_once(tiny, tmp_path):
    def interrupt_twice(step, log):
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        tiny.run(tmp_path, 3, on_step=[interrupt_twice])
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


# ---- checkpoints ----


def test_a_damaged_latest_checkpoint_falls_back_to_the_one_before(tmp_path):
    save_checkpoint(tmp_path, {"stage": "a", "step": 1})
    save_checkpoint(tmp_path, {"stage": "a", "step": 2})
    assert load_checkpoint(tmp_path)["step"] == 2
    (tmp_path / LATEST).write_bytes((tmp_path / LATEST).read_bytes()[:100])
    assert load_checkpoint(tmp_path)["step"] == 1
    (tmp_path / PREVIOUS).write_bytes(b"")
    with pytest.raises(CheckpointError, match="resume='never'"):
        load_checkpoint(tmp_path)


def test_a_kill_between_the_two_renames_loses_nothing(tmp_path):
    save_checkpoint(tmp_path, {"stage": "a", "step": 1})
    os.replace(tmp_path / LATEST, tmp_path / PREVIOUS)
    assert load_checkpoint(tmp_path)["step"] == 1


def test_leftovers_of_killed_writers_are_removed(tmp_path):
    leftover = tmp_path / f".{LATEST}.123.tmp"
    leftover.write_bytes(b"half")
    save_checkpoint(tmp_path, {"stage": "a"})
    assert sorted(path.name for path in tmp_path.iterdir()) == [LATEST]


class Payload:
    def __reduce__(self):
        return (print, ("executed",))


@pytest.mark.parametrize("content", [{"stage": Payload()}, {"weights": torch.zeros(1)}, [1, 2]])
def test_files_that_are_no_checkpoints_are_refused_without_running_them(tmp_path, content, capsys):
    torch.save(content, tmp_path / LATEST)
    with pytest.raises(CheckpointError):
        read_checkpoint(tmp_path / LATEST)
    assert "executed" not in capsys.readouterr().out


def test_a_checkpoint_of_other_networks_is_refused(tiny, tmp_path):
    tiny.run(tmp_path, 1)
    stage = tiny.Toy().stage(2)
    stage.modules = {"generator": stage.modules["generator"]}
    with pytest.raises(CheckpointError, match="networks"):
        fit_toy(stage, tmp_path)


# ---- phases ----


def test_phases_run_when_they_are_due():
    def due(**options):
        return [step for step in range(8) if is_due(Phase("p", "g", dict, {}, **options), step)]

    assert due() == list(range(8))
    assert due(every=3) == [0, 3, 6]
    assert due(start=2, stop=5) == [2, 3, 4]
    assert due(every=2, start=3) == [4, 6]


def test_a_phase_changes_only_the_group_it_names(tiny):
    toy = tiny.Toy()
    stage = toy.stage(1)
    for group, other in (("generator", "discriminator"), ("discriminator", "generator")):
        with only_trainable(stage, group):
            assert all(parameter.requires_grad for parameter in stage.groups[group].params)
            assert not any(parameter.requires_grad for parameter in stage.groups[other].params)


def test_a_phase_of_one_group_leaves_the_other_bit_equal(tiny, tmp_path):
    toy = tiny.Toy()
    before = {name: value.clone() for name, value in toy.generator.state_dict().items()}
    stage = toy.stage(3, phases=[Phase("d", "discriminator", toy.discriminator_terms, {"adversarial": 1.0})])
    fit_toy(stage, tmp_path)
    assert equal(before, dict(toy.generator.state_dict()))


def test_a_phase_of_an_unknown_group_is_refused(tiny, tmp_path):
    stage = tiny.Toy().stage(1, phases=[Phase("p", "judge", dict, {})])
    with pytest.raises(ConfigError, match="do not exist"):
        fit_toy(stage, tmp_path)


@pytest.mark.parametrize("every", [1, 4])
def test_the_gradient_of_a_lazy_phase_is_scaled_by_its_interval(tiny, tmp_path, every):
    weight, seen = nn.Parameter(torch.tensor([2.0])), []
    stage = single(
        [weight],
        lambda batch: {"loss": weight * batch.images.new_full((8,), 3.0), "logged only": weight.detach()},
        tiny=tiny,
        weights={"loss": 0.5},
        every=every,
        mask_gradients=lambda: seen.append(weight.grad.clone()),
    )
    fit_toy(stage, tmp_path)
    assert torch.stack(seen).flatten().tolist() == [3.0 * 0.5 * every]


def test_weights_may_follow_progress(tiny, tmp_path):
    weight, seen = nn.Parameter(torch.zeros(1)), []
    stage = single(
        [weight],
        lambda batch: {"loss": weight},
        tiny=tiny,
        steps=4,
        weights={"loss": lambda progress: 1 - progress},
        mask_gradients=lambda: seen.append(weight.grad.item()),
    )
    fit_toy(stage, tmp_path)
    assert seen == [1.0, 0.75, 0.5, 0.25]


def test_a_mask_holds_part_of_a_parameter(tiny, tmp_path):
    weight = nn.Parameter(torch.zeros(2))
    stage = single(
        [weight],
        lambda batch: {"loss": weight.sum()},
        tiny=tiny,
        steps=3,
        mask_gradients=lambda: weight.grad[0].zero_(),
    )
    fit_toy(stage, tmp_path)
    assert weight[0].item() == 0.0
    assert weight[1].item() < 0.0


def test_lazy_regularisation_scales_rate_and_betas():
    plain = make_optimizer(ParamGroup([nn.Parameter(torch.zeros(1))], lr=0.002, betas=(0.5, 0.99)))
    lazy = make_optimizer(ParamGroup([nn.Parameter(torch.zeros(1))], lr=0.002, betas=(0.5, 0.99), lazy_every=16))
    assert plain.defaults["lr"] == 0.002
    assert plain.defaults["betas"] == (0.5, 0.99)
    assert lazy.defaults["lr"] == pytest.approx(0.002 * 16 / 17)
    assert lazy.defaults["betas"] == pytest.approx((0.5 ** (16 / 17), 0.99 ** (16 / 17)))


def test_some_parameters_may_have_betas_of_their_own():
    first, second = (nn.Parameter(torch.zeros(1)) for _ in range(2))
    group = ParamGroup([first, second], lr=0.1, betas=(0.9, 0.999), other_betas=[([second], (0.0, 0.9))])
    optimizer = make_optimizer(group)
    assert [(part["params"][0] is second, part["betas"]) for part in optimizer.param_groups] == [
        (False, (0.9, 0.999)), (True, (0.0, 0.9))
    ]  # fmt: skip
    set_rate(optimizer, ParamGroup([first, second], lr=0.1, decay=1.0), 0.5)
    assert [part["lr"] for part in optimizer.param_groups] == [0.05, 0.05]


def test_whole_number_betas_are_accepted():
    optimizer = make_optimizer(ParamGroup([nn.Parameter(torch.zeros(1))], betas=(0, 0.99)))
    assert isinstance(optimizer.defaults["betas"][0], float)


@pytest.mark.parametrize("parts", [2, 4, 8])
def test_accumulated_gradients_equal_those_of_the_whole_batch(tiny, tmp_path, parts):
    def train(accumulate, folder):
        torch.manual_seed(0)
        net = nn.Linear(4, 1)
        terms = lambda batch: {"loss": net(batch.images)[:, 0].square()}  # noqa: E731
        fit_toy(single([*net.parameters()], terms, steps=5, tiny=tiny), folder, accumulate=accumulate)
        return net

    whole, cut = train(1, tmp_path / "whole"), train(parts, tmp_path / "cut")
    torch.testing.assert_close(whole.weight, cut.weight, atol=1e-6, rtol=1e-5)


def test_a_batch_that_cannot_be_cut_is_refused(tiny, tmp_path):
    with pytest.raises(ConfigError, match="3 equal parts"):
        tiny.run(tmp_path, 1, accumulate=3)


@pytest.mark.parametrize("parts", [3, 8])
def test_a_batch_of_several_tensors_that_cannot_be_cut_is_refused(parts):
    batch = {"images": torch.zeros(4, 2), "labels": torch.zeros(4)}
    assert [len(part["labels"]) for part in split_batch(batch, 2)] == [2, 2]
    with pytest.raises(ConfigError, match=f"batch of 4 cannot be cut into {parts} equal parts"):
        split_batch(batch, parts)


# ---- gradient sanity ----


def test_nonfinite_gradients_are_counted_and_skipped(tiny, tmp_path):
    weight = nn.Parameter(torch.zeros(3))
    factors = [[1.0, 1.0, 1.0], [math.nan, math.inf, 1.0], [1.0, 1.0, 1.0]]
    stage = single(
        [weight], lambda batch: {"loss": (weight * torch.tensor(factors[batch.step])).sum()}, steps=3, tiny=tiny
    )
    result = fit_toy(stage, tmp_path)
    assert result.nonfinite == 2
    assert torch.isfinite(weight).all()
    assert weight[2] < 0


def test_gradients_that_stay_nonfinite_end_the_training_with_advice(tiny, tmp_path):
    weight = nn.Parameter(torch.zeros(1))
    stage = single([weight], lambda batch: {"loss": weight * math.nan}, steps=MAX_NONFINITE_STEPS + 5, tiny=tiny)
    with pytest.raises(DivergenceError, match="fp32"):
        fit_toy(stage, tmp_path)


def test_one_sane_phase_does_not_hide_another_that_diverged(tiny, tmp_path):
    bad, good = nn.Parameter(torch.zeros(1)), nn.Parameter(torch.zeros(1))
    stage = tiny.Toy().stage(
        MAX_NONFINITE_STEPS + 5,
        phases=[
            Phase("bad", "bad", lambda batch: {"loss": bad * math.nan}, {"loss": 1.0}),
            Phase("good", "good", lambda batch: {"loss": good}, {"loss": 1.0}),
        ],
    )
    stage.groups = {"bad": ParamGroup([bad]), "good": ParamGroup([good])}
    with pytest.raises(DivergenceError):
        fit_toy(stage, tmp_path)


# ---- averages, hooks, precision ----


def test_after_one_half_life_half_of_the_old_average_is_left():
    live, averaged = nn.Linear(1, 1), nn.Linear(1, 1)
    nn.init.ones_(live.weight)
    nn.init.zeros_(averaged.weight)
    for step in range(20):
        update_average(live, averaged, step=step, half_life=20.0, rampup=None)
    assert averaged.weight.item() == pytest.approx(0.5, abs=1e-5)


def test_a_ramp_keeps_the_half_life_below_its_share_of_the_steps_done():
    live, averaged = nn.Linear(1, 1), nn.Linear(1, 1)
    nn.init.ones_(live.weight)
    nn.init.zeros_(averaged.weight)
    update_average(live, averaged, step=10, half_life=300.0, rampup=0.1)  # half-life 1
    assert averaged.weight.item() == pytest.approx(0.5)


def test_buffers_of_the_average_are_copied():
    live, averaged = nn.BatchNorm1d(2), nn.BatchNorm1d(2)
    live(torch.randn(8, 2) + 5)
    update_average(live, averaged, step=0, half_life=10.0, rampup=None)
    assert torch.equal(live.running_mean, averaged.running_mean)
    assert averaged.num_batches_tracked == 1


class Recorder:
    name = "recorder"

    def __init__(self):
        self.moments, self.total = [], 0

    def __call__(self, moment):
        self.moments.append((moment.step, moment.last, sorted(moment.values)))
        self.total += 1

    def state_dict(self):
        return {"total": self.total}

    def load_state_dict(self, state):
        self.total = state["total"]


def test_hooks_see_every_step_and_are_carried_in_checkpoints(tiny, tmp_path):
    first, second = Recorder(), Recorder()
    tiny.run(tmp_path, 2, hooks=[first])
    tiny.run(tmp_path, 5, hooks=[second])
    logged = ["count", "d/adversarial", "d/seen", "d/size", "g/adversarial"]
    assert first.moments == [(1, False, sorted([*logged, "d_penalty/penalty"])), (2, True, logged)]
    assert [moment[0] for moment in second.moments] == [3, 4, 5]
    assert second.total == 5


def test_time_outside_the_networks_is_reported(tiny, tmp_path):
    assert 0.0 <= tiny.run(tmp_path, 3).share_outside < 1.0


def test_precision_is_chosen_as_asked():
    cpu = torch.device("cpu")
    assert choose_precision("fp32", cpu) == torch.float32
    assert choose_precision("bf16", cpu) == torch.bfloat16
    assert choose_precision("auto", cpu) in (torch.float32, torch.bfloat16)
    with pytest.raises(ConfigError, match="auto, bf16, fp32"):
        choose_precision("fp8", cpu)


def test_a_resumed_run_keeps_the_arithmetic_that_was_measured(tiny, tmp_path, monkeypatch):
    def auto(steps, fastest):
        monkeypatch.setattr("lowshotgan.train.precision.choose_precision", lambda wish, device: fastest)
        stage = tiny.Toy().stage(steps)
        return fit([stage], output_dir=tmp_path, machine=Machine("cpu"), settings=LoopSettings()).precision

    assert auto(1, torch.bfloat16) == "bf16"
    assert auto(2, torch.float32) == "bf16"
    assert read_checkpoint(tmp_path / "checkpoints" / LATEST)["precision"] == "bf16"


def test_the_main_process_measures_for_all(monkeypatch):
    def measure(wish, device):
        raise AssertionError("another process measured")

    class Other:
        is_main, device = False, torch.device("cpu")

        def from_main(self, value):
            return 1.0

    monkeypatch.setattr("lowshotgan.train.precision.choose_precision", measure)
    assert settle_precision("auto", Other()) == "bf16"


def test_bf16_trains_in_bf16_except_where_a_phase_wants_fp32(tiny, tmp_path):
    net, seen = nn.Linear(4, 1), {}

    def terms(name):
        def compute(batch):
            out = net(batch.images)
            seen[name] = out.dtype
            return {"loss": out[:, 0]}

        return compute

    phases = [
        Phase("fast", "only", terms("fast"), {"loss": 1.0}),
        Phase("safe", "only", terms("safe"), {"loss": 1.0}, fp32=True),
    ]
    stage = tiny.Toy().stage(1, phases=phases)
    stage.groups = {"only": ParamGroup([*net.parameters()])}
    fit([stage], output_dir=tmp_path, machine=Machine("cpu"), settings=LoopSettings(precision="bf16"))
    assert seen == {"fast": torch.bfloat16, "safe": torch.float32}


@pytest.mark.parametrize(
    "options",
    [
        {"resume": "yes"},
        {"precision": "half"},
        {"accumulate": 0},
        {"accumulate": 1.5},
        {"budget": -1.0},
        {"seed": -1},
        {"seed": 0.5},
        {"seed": 2**43},
    ],
)
def test_unusable_settings_are_refused(options):
    with pytest.raises(ConfigError, match=next(iter(options))):
        LoopSettings(**options)


def test_the_largest_seed_trains_and_whole_numbers_of_numpy_become_plain(tiny, tmp_path):
    assert tiny.run(tmp_path, 1, seed=2**43 - 1).steps == 1
    settings = LoopSettings(seed=np.int64(3), accumulate=np.int32(2))
    assert (type(settings.seed), type(settings.accumulate)) == (int, int)


@pytest.mark.parametrize(("progress", "rate"), [(0.0, 1.0), (0.5, 1.0), (0.75, 0.5), (1.0, 0.0)])
def test_a_rate_falls_over_the_last_share_of_a_stage(progress, rate):
    group = ParamGroup([nn.Parameter(torch.zeros(1))], lr=0.01, decay=0.5)
    optimizer = make_optimizer(group)
    set_rate(optimizer, group, 0.9)
    set_rate(optimizer, group, progress)
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.01 * rate)


@pytest.mark.parametrize(("step", "rate"), [(0, 0.25), (1, 0.5), (3, 1.0), (9, 1.0)])
def test_a_rate_rises_over_the_first_steps_and_follows_its_function(step, rate):
    group = ParamGroup([nn.Parameter(torch.zeros(1))], lr=0.01, warm_up=4, rate=lambda progress: 1 - progress)
    optimizer = make_optimizer(group)
    set_rate(optimizer, group, 0.5, step)
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.01 * rate * 0.5)


def test_rmsprop_divides_by_the_running_root_mean_square_of_the_decayed_gradient():
    parameter = nn.Parameter(torch.tensor([2.0]))
    optimizer = make_optimizer(ParamGroup([parameter], lr=0.1, optimizer="rmsprop", weight_decay=0.5))
    parameter.grad = torch.tensor([3.0])
    optimizer.step()
    gradient = 3.0 + 0.5 * 2.0
    assert parameter.item() == pytest.approx(2.0 - 0.1 * gradient / (0.01 * gradient**2) ** 0.5, rel=1e-5)
    with pytest.raises(ConfigError, match="rmsprop"):
        make_optimizer(ParamGroup([parameter], optimizer="sgd"))


def test_averages_are_copies_until_they_start(tiny, tmp_path):
    stage = tiny.Toy().stage(3)
    stage.ema_start, stage.ema_half_life, seen = 2, 100.0, []
    (live, averaged), *_ = stage.averages.values()

    def compare(step, log):
        seen.append(all(torch.equal(a, b) for a, b in zip(live.parameters(), averaged.parameters(), strict=True)))

    stage.on_step = [compare]
    fit_toy(stage, tmp_path)
    assert seen == [True, True, False]
