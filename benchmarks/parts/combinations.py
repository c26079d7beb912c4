"""(d) Convex combinations of latents beside NumPy and beside the bandwidth of a copy; see `hull.py`."""

import hull  # of the folder above

from parts.report import Report, Setting


def run(setting: Setting, report: Report) -> None:
    """A row for each kind of weights, and a note with the bandwidth."""
    count, members = (1000, 600) if setting.tiny else (1_000_000, hull.MEMBERS)
    for name, fast, plain, share in hull.measured(count, 5, members):
        if name == "copy":
            report.note(
                f"{count:,} combinations of {hull.N} out of {members:,} latents in {hull.LATENT} dimensions; "
                f"copying writes {hull.bandwidth(count, fast):.1f} GB/s."
            )
        else:
            numbers = {"of the copy bandwidth": f"{share:.0%}", "NumPy / JAX": plain / fast}
            report.row(weights=name, **numbers, **{"JAX, ms": 1e3 * fast, "NumPy, ms": 1e3 * plain})
