"""One stream of random numbers, however many processes there are."""

import pytest
import torch

from lowshotgan.draws import Draws, latents_from_seeds
from lowshotgan.errors import ConfigError


@pytest.mark.parametrize("world_size", [1, 2, 3])
def test_processes_together_see_what_one_process_would(world_size):
    def everything(draws: Draws, batch: int) -> list[torch.Tensor]:
        return [draws.normal(batch, 2, 3), draws.uniform(batch), draws.integers(10, batch, 4), draws.normal(batch)]

    whole = everything(Draws(7), 6)
    parts = [everything(Draws(7, rank=rank, world_size=world_size), 6 // world_size) for rank in range(world_size)]
    for i, expected in enumerate(whole):
        for rank in range(world_size):
            assert torch.equal(parts[rank][i], expected[rank::world_size])


def test_shared_numbers_are_the_same_in_every_process():
    processes = [Draws(3, rank=rank, world_size=2) for rank in range(2)]
    found = [(d.shared_integer(1000), d.shared_uniform(), d.shared_integer(1000)) for d in processes]
    alone = Draws(3)
    assert found[0] == found[1] == (alone.shared_integer(1000), alone.shared_uniform(), alone.shared_integer(1000))


def test_shapes_types_and_ranges():
    draws = Draws(0)
    assert draws.normal(5, 2).shape == (5, 2)
    assert draws.normal(5, 2).dtype == torch.float32
    uniform = draws.uniform(1000)
    assert uniform.min() >= 0
    assert uniform.max() < 1
    integers = draws.integers(3, 100)
    assert integers.dtype == torch.int64
    assert set(integers.tolist()) == {0, 1, 2}
    assert isinstance(draws.shared_integer(4), int)
    assert 0 <= draws.shared_uniform() < 1


def test_the_stream_depends_on_the_seed_alone():
    torch.manual_seed(0)
    first = Draws(1).normal(4)
    torch.manual_seed(99)
    assert torch.equal(Draws(1).normal(4), first)
    assert not torch.equal(Draws(2).normal(4), first)


def test_a_saved_stream_continues_where_it_stopped():
    draws = Draws(5)
    draws.normal(3)
    state = draws.state_dict()
    expected = [draws.normal(2), draws.uniform(2)]
    other = Draws(0)
    other.load_state_dict(state)
    assert all(torch.equal(a, b) for a, b in zip([other.normal(2), other.uniform(2)], expected, strict=True))


def test_a_seed_fixes_its_latent_alone():
    together = latents_from_seeds([0, 1, 2, 2**40], 8)
    assert together.shape == (4, 8)
    for i, seed in enumerate([0, 1, 2, 2**40]):
        assert torch.equal(latents_from_seeds([seed], 8)[0], together[i])
    assert torch.equal(latents_from_seeds(range(3), 8), together[:3])
    with pytest.raises(ConfigError, match="empty"):
        latents_from_seeds([], 8)
