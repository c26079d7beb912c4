"""Group normalisation at any width."""

import flax.linen as nn


def group_norm(width: int, most: int = 8) -> nn.GroupNorm:
    """GroupNorm of `width` channels, in `groups(width, most)` groups."""
    return nn.GroupNorm(num_groups=groups(width, most))


def groups(width: int, most: int = 8) -> int:
    """The largest of 8, 4, 2 and 1 that is at most `most` and divides `width`."""
    return next(count for count in (8, 4, 2, 1) if count <= most and width % count == 0)
