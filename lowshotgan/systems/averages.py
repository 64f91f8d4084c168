"""How fast averages of networks move."""

import math


def half_life(decay: float) -> float:
    """Steps after which half of an exponential average with this ``decay`` per step is left."""
    return math.log(0.5) / math.log(decay)
