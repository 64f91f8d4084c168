"""One thread per process: the tests run side by side, and sums are rounded alike on every machine."""

import torch

torch.set_num_threads(1)
