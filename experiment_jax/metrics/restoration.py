"""How near what was found again is to the truth, and whether the differences between draws say how near."""

import numpy as np

ROUNDING = 1 / 12  # mean square error of rounding to a whole level, below which no uint8 image can be told to be


def psnr(images: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Peak signal-to-noise ratio of each image in decibels, 10 log₁₀(255² / mean square error): float `[N]`.

    Args:
        images: `[N, height, width, channels]` in levels of 0 … 255.
        truth: uint8, likewise.
    """
    square = np.mean((images.astype(np.float64) - truth) ** 2, axis=(1, 2, 3))
    return 10.0 * np.log10(255.0**2 / np.maximum(square, ROUNDING))


def spread_skill(draws: np.ndarray, truth: np.ndarray) -> float:
    """√((M + 1)/M) · (spread of the M draws) / (error of their mean): 1 where draws are as the truth is.

    Spread is the root of the mean unbiased variance of the draws, error the root mean square of truth minus mean; where
    truth and draws come from one law, the mean of M has 1/M of their variance too, hence the factor (Fortin et al.
    2014, eq. 15). Below 1, draws are surer than they may be.

    Args:
        draws: `[M, N, …]`, M ≥ 2 draws for each of N conditions.
        truth: `[N, …]`.
    """
    count = len(draws)
    mean = np.mean(draws, axis=0, dtype=np.float64)
    variance = np.mean([np.mean((draw - mean) ** 2) for draw in draws]) * count / (count - 1)
    error = np.mean((truth - mean) ** 2)
    return float(np.sqrt((count + 1) / count * variance / error))


def energy_score(draws: np.ndarray, truth: np.ndarray) -> float:
    """E‖g − y‖ − ½ E‖g − g′‖, a mean over conditions: least where draws are as the truth is (Gneiting & Raftery 2007).

    Args:
        draws: `[M, N, d]`, M ≥ 2 independent draws for each of N conditions.
        truth: `[N, d]`.
    """
    count = len(draws)
    miss = np.mean(np.linalg.norm(draws - truth, axis=-1))
    apart = np.mean(np.linalg.norm(draws[:, None] - draws[None], axis=-1)) * count / (count - 1)
    return float(miss - apart / 2)


def root_mean_square(difference: np.ndarray) -> float:
    """√ of the mean square of all its elements."""
    return float(np.sqrt(np.mean(np.square(difference, dtype=np.float64))))
