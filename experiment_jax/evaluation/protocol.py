"""Protocols: what samples are compared with, and how many samples there are, as in `test_10k`."""

from experiment_jax.config.numbers import LARGEST_COUNT
from experiment_jax.errors import UserError


def parse(name: str) -> tuple[str, int]:
    """ "test_10k" -> ("test", 10_000): the real images that samples are compared with, and how many samples.

    "validation" is the part of train that the run held out: what hyper-parameters are chosen by.

    Raises:
        UserError: not SPLIT_COUNT with the split test, train or validation, or too large a count.
    """
    split, _, count = name.partition("_")
    digits, thousands = (count[:-1], 1000) if count.endswith("k") else (count, 1)
    fits = digits.isdecimal() and len(digits) < 10 and 0 < int(digits) * thousands <= LARGEST_COUNT
    if split not in ("test", "train", "validation") or not fits:
        raise UserError(f"protocol={name}: type test_10k, train_50k or validation_1k, or another number")
    return split, int(digits) * thousands


def name_of(split: str, count: int) -> str:
    """The inverse of `parse`."""
    return f"{split}_{count // 1000}k" if count % 1000 == 0 else f"{split}_{count}"
