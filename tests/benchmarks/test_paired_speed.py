"""benchmarks/paired_speed.py: the plain networks are those of the library, and both steps can be timed."""

import paired_speed
import torch
from _plain_lado import PlainLaDo


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


def test_plain_networks_have_the_parameters_of_the_paper():
    plain = PlainLaDo()
    found = [count(one) for one in (plain.content, plain.appearance, plain.generator, plain.discriminator)]
    assert found == [2_019_968, 1_757_696, 1_651_587, 1_677_185]


def test_both_steps_move_every_network():
    plain = PlainLaDo(16, 4, 6, 4)
    networks = (plain.content, plain.appearance, plain.generator, plain.discriminator)
    before = [next(network.parameters()).detach().clone() for network in networks]
    plain.step(torch.rand(4, 3, 16, 16) * 2 - 1)
    assert not any(torch.equal(was, next(n.parameters())) for was, n in zip(before, networks, strict=True))


def test_a_measurement(tmp_path):
    threads = torch.get_num_threads()
    words = ["--resolution", "16", "--width", "4", "--batch-size", "4", "--repeats", "1"]
    try:
        found = paired_speed.main([*words, "--threads", str(threads), "--json", str(tmp_path / "speed.json")])
    finally:
        torch.set_num_threads(threads)
    assert found["ratio"] > 0 and (tmp_path / "speed.json").is_file()
