"""What a trace of a few dispatches says: how long the device computed, how long it waited, and what took longest."""

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from jax.profiler import ProfileData

LONGEST = 5
# By the platform: what a trace calls the first device, and how the lines of its operations begin.
PLANES = {"cpu": ("/host:CPU", ""), "gpu": ("/device:GPU:0", "Stream"), "tpu": ("/device:TPU:0", "XLA Ops")}

Event = tuple[str, float, float]  # name, start and end, in ns


def told(folder: Path, platform: str) -> dict[str, object] | None:
    """Of the newest trace in a folder, for JSON; None: it has no event of the device.

    `busy` is the share of the time from the first operation to the last in which the device computed, `longest_gap_ms`
    the longest time in which it did not, `operations` those that took longest, with their shares of all operations.

    Args:
        folder: what `jax.profiler.trace` wrote into.
        platform: of the device, "cpu", "gpu" or "tpu".
    """
    files = sorted(folder.rglob("*.xplane.pb"), key=lambda path: path.stat().st_mtime)
    found = list(events(ProfileData.from_file(str(files[-1])), platform)) if files else []
    if not found:
        return None
    share, gap = busy((start, end) for _, start, end in found)
    times: Counter[str] = Counter()
    for name, start, end in found:
        times[name] += end - start
    longest = {name: round(time / times.total(), 3) for name, time in times.most_common(LONGEST)}
    return {"busy": round(share, 4), "longest_gap_ms": round(gap / 1e6, 4), "operations": longest}


def events(data: ProfileData, platform: str) -> Iterator[Event]:
    """The operations of the first device, on all its streams. The CPU's lines have what Python does too, which is
    left out."""
    plane_name, line_name = PLANES[platform]
    for plane in data.planes:
        for line in plane.lines if plane.name == plane_name else ():
            for event in line.events if line.name.startswith(line_name) else ():
                if event.duration_ns > 0 and (platform != "cpu" or "hlo_op" in dict(event.stats)):
                    yield event.name, event.start_ns, event.start_ns + event.duration_ns


def busy(spans: Iterable[tuple[float, float]]) -> tuple[float, float]:
    """Of spans (start, end): the share of the time from the first start to the last end that lies in any, and the
    longest time that lies in none."""
    first, *rest = sorted(spans)
    begin, reached = first
    idle = gap = 0.0
    for start, end in rest:
        if start > reached:
            idle, gap = idle + start - reached, max(gap, start - reached)
        reached = max(reached, end)
    return 1.0 - idle / (reached - begin), gap
