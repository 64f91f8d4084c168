"""Partners by optimal transport: they minimise the cost, use every column and follow the plan's masses."""

import torch

from lowshotgan.losses.transport import transport_partners


def test_a_shuffled_batch_finds_itself() -> None:
    torch.manual_seed(0)
    points = torch.randn(32, 8)
    order = torch.randperm(32)
    cost = torch.cdist(points, points[order]).square()
    found = transport_partners(cost, torch.rand(32), blur=0.01)
    assert torch.equal(order[found], torch.arange(32))


def test_partners_are_cheaper_than_chance_and_balanced() -> None:
    torch.manual_seed(0)
    left, right = torch.randn(256, 2), torch.randn(256, 2) + 3
    cost = torch.cdist(left, right).square()
    found = transport_partners(cost, torch.rand(256))
    paid = cost[torch.arange(256), found].mean()
    greedy = cost.argmin(dim=1)
    best = (left.mean(dim=0) - right.mean(dim=0)).square().sum()  # no plan is cheaper than moving the mean
    assert best - 0.5 < paid < best + 0.2 * (cost.mean() - best)
    assert len(found.unique()) > 2 * len(greedy.unique())


def test_constants_of_rows_change_nothing() -> None:
    torch.manual_seed(0)
    cost, chance = torch.rand(16, 16).double(), torch.rand(16).double()
    same = cost + torch.arange(16.0)[:, None].double()
    assert torch.equal(transport_partners(same, chance), transport_partners(cost, chance))
