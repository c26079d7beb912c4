"""(c) Value and gradient of the Sinkhorn divergence beside geomloss, by the number of points."""

import contextlib
import importlib.util

import divergences  # of the folder above

from parts import sides
from parts.report import Report, Setting

# Points and ε: `sinkhorn` has 5, `flow` 0.3.
SIZES = (512, 5.0), (1024, 5.0), (2048, 5.0), (4096, 5.0), (8192, 5.0), (16_384, 5.0), (4096, 0.3)
TINY, FEATURES = ((64, 5.0),), 64


def run(setting: Setting, report: Report) -> None:
    """A row for each number of points and ε; above 4,096 points ours keeps no matrix."""
    lacks = sides.lacking(setting.device)
    if lacks:
        report.note(f"Without geomloss: {lacks}.")
    else:
        known = importlib.util.find_spec("pykeops") is not None
        report.note(f"geomloss by its tensorized backend; KeOps is {'installed, not used' if known else 'absent'}.")
    for points, epsilon in TINY if setting.tiny else SIZES:
        if report.late(f"{points:,} points at ε = {epsilon:g}, and what comes after it"):
            return
        with contextlib.nullcontext() if lacks else sides.pytorch(setting.device, tf32=False):
            _row(report, points, epsilon, setting, geomloss=not lacks)


def _row(report: Report, points: int, epsilon: float, setting: Setting, geomloss: bool) -> None:
    x, y = divergences.clouds(points, FEATURES)
    pair = {"ours": lambda: divergences.ours(x, y, epsilon)}
    if geomloss:
        import torch_divergences

        pair["geomloss"] = lambda: torch_divergences.in_geomloss(x, y, epsilon, 0.5)
    times, reasons = sides.timed(pair, rounds=2 if setting.tiny else 5)
    if (why := reasons.get("ours")) and why != sides.OUT_OF_MEMORY:
        report.fault(f"{points:,} points: {why}")
    report.row(
        **{
            "points": points,
            "features": FEATURES,
            "ε": f"{epsilon:g}",
            "geomloss / ours": sides.ratio(times.get("geomloss"), times.get("ours")),
            "ours, ms": times.get("ours", reasons.get("ours")),
            "geomloss, ms": times.get("geomloss", reasons.get("geomloss")),
        }
    )
