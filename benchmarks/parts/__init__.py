"""The parts of `accelerator.py`, each a file with a function `run(setting, report)` that writes its rows as it goes."""

from typing import NamedTuple


class Part(NamedTuple):
    """What is measured under one letter.

    Attributes:
        letter: of the flags, and the name of its JSON.
        file: in this folder.
        title: of its table.
        share: seconds of eight minutes; what a part leaves over goes to those after it.
        least: seconds below which it is not begun.
    """

    letter: str
    file: str
    title: str
    share: float
    least: float


PARTS = (  # in the order in which they run
    Part("a", "same_numbers", "The same numbers as on CPU", 75, 20),
    Part("b", "steps", "Training steps, beside PyTorch", 115, 30),
    Part("g", "recipe", "CIFAR's recipe, trained and evaluated", 200, 120),
    Part("c", "divergence", "The Sinkhorn divergence, beside geomloss", 38, 5),
    Part("d", "combinations", "Convex combinations, beside the bandwidth of a copy", 8, 5),
    Part("e", "draws", "Drawing in one step, beside many", 20, 10),
    Part("f", "seeds", "Seeds in one program, beside one after another", 24, 15),
)
