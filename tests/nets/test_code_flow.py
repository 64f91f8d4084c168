"""The flow over codes: it learns a distribution a Gaussian cannot match."""

import torch

from lowshotgan.nets.code_flow import CodeFlow


def test_velocity_error_is_that_of_a_straight_path():
    torch.manual_seed(0)
    flow, codes, noise = CodeFlow(3, width=8, depth=1), torch.randn(5, 3), torch.randn(5, 3)
    at_start = flow.velocity_error(codes, noise, torch.zeros(5))
    expected = (flow.velocity(noise, torch.zeros(5)) - (codes - noise)).square().mean(dim=1)
    assert torch.allclose(at_start, expected)


def test_fit_scale_standardises_codes():
    flow = CodeFlow(2, width=8, depth=1)
    codes = torch.tensor([[10.0, 0.0], [14.0, 2.0]])
    flow.fit_scale(codes)
    assert torch.allclose(flow.scale[0], torch.tensor([12.0, 1.0]))
    assert torch.allclose(flow.scale[1], codes.std(dim=0))


def test_it_learns_two_separate_clusters():
    torch.manual_seed(0)
    flow = CodeFlow(2, width=64, depth=2)
    centres = torch.tensor([[-3.0, 1.0], [3.0, 1.0]])
    flow.fit_scale(centres.repeat(50, 1) + 0.1 * torch.randn(100, 2))
    optimizer = torch.optim.Adam(flow.parameters(), lr=3e-3)

    def misplaced():
        with torch.no_grad():
            drawn = flow(torch.randn(400, 2, generator=torch.Generator().manual_seed(1)))
        return float((torch.cdist(drawn, centres).amin(dim=1) > 1.0).float().mean()), drawn

    before, _ = misplaced()
    for _ in range(600):
        codes = centres[torch.randint(2, (256,))] + 0.1 * torch.randn(256, 2)
        loss = flow.velocity_error(codes, torch.randn(256, 2), torch.rand(256)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    after, drawn = misplaced()
    assert before > 0.5 and after < 0.1
    left = float((drawn[:, 0] < 0).float().mean())
    assert 0.3 < left < 0.7
