"""(b) A training step of every stage at CIFAR's size, in float32 and bfloat16, beside PyTorch on the same networks."""

import dataclasses
from collections.abc import Callable, Iterator

import cases  # of the folder above
import clock
import jax
import our_steps

from experiment_jax.data.split import Dataset
from parts import sides, trace
from parts.peaks import peak
from parts.report import Report, Setting

NO_TWIN = "sharpening"
DISPATCHES = 5  # of a trace


@dataclasses.dataclass
class Measured:
    """A row, and what torch.compile is timed beside later.

    Attributes:
        name: of the stage.
        compute: float32 or bfloat16.
        own: our step.
        row: of the table.
    """

    name: str
    compute: str
    own: our_steps.Timed
    row: dict[str, object]


def run(setting: Setting, report: Report) -> None:
    """A row for each stage and type, and of each stage a trace in OUT/profile; then torch.compile, as time allows."""
    sizes = cases.TINY if setting.tiny else cases.CIFAR
    data, lacks = our_steps.dataset(sizes), sides.lacking(setting.device)
    report.note(
        f"{'×'.join(map(str, sizes.shape))} images; matching computes in float32. Operations are XLA's count of a step."
    )
    if lacks:
        report.note(f"Without PyTorch: {lacks}.")
        list(_ours_and_eager(setting, report, data, sizes, torch=False))
        return
    with sides.pytorch(setting.device, tf32=True):
        rows = list(_ours_and_eager(setting, report, data, sizes, torch=True))
        for measured in rows:
            if report.late("torch.compile of all stages"):
                return
            _compiled(measured, data, sizes, report)


def _wanted(sizes: cases.Sizes, dispatch: int, tiny: bool) -> Iterator[tuple[str, str, cases.Case]]:
    """The stages in the order of what matters most on an accelerator."""
    bfloat16, float32 = (cases.of_cifar(sizes, compute, dispatch) for compute in ("bfloat16", "float32"))
    if tiny:  # a step of every stage is among the tests of (a)
        yield from ((name, "bfloat16", bfloat16[name]) for name in (cases.IMAGES[1], cases.IMAGES[3]))
        yield "sinkhorn", "float32", float32["sinkhorn"]
        return
    yield from ((name, "bfloat16", bfloat16[name]) for name in cases.IMAGES)
    yield from ((name, "float32", float32[name]) for name in cases.MATCHERS)
    yield from ((name, "float32", float32[name]) for name in cases.IMAGES)


def _ours_and_eager(
    setting: Setting, report: Report, data: Dataset, sizes: cases.Sizes, torch: bool
) -> Iterator[Measured]:
    traced: dict[str, dict[str, object] | None] = {}
    known: our_steps.Known = {}
    for name, compute, case in _wanted(sizes, 10 if setting.accelerated else 1, setting.tiny):
        if report.late(f"{name} in {compute}, and what comes after it"):
            return
        made: list[our_steps.Timed] = []

        def ours(case: cases.Case = case, made: list = made) -> sides.Side:
            made.append(our_steps.ours(case, data, known))
            return made[0].dispatch

        pair = {"ours": ours}
        if torch and name != NO_TWIN:
            pair["eager"] = _theirs(name, compute, data, sizes, lambda function: function)
        times, reasons = sides.timed(pair, rounds=3)
        loops = "ours" not in times or name in cases.LOOPS
        flops = None if loops else sides.attempted(f"{name}, operations", made[0].flops, report)
        own = times["ours"] / made[0].steps if "ours" in times else None
        row = report.row(**_row(setting, name, compute, sizes, own, times.get("eager"), flops))
        for side, why in reasons.items():
            say = report.fault if side == "ours" else report.note
            say(f"{name}, {compute}, {side}: {why}")
        if "ours" in times:
            if name not in traced:
                traced[name] = said = sides.attempted(
                    f"{name}, trace", lambda name=name, step=made[0]: _trace(setting, name, step), report
                )
                row["device busy"] = f"{said['busy']:.1%}" if said else None
                report.keep(profiles=traced)
            if name != NO_TWIN:
                yield Measured(name, compute, made[0], row)


def _row(
    setting: Setting,
    name: str,
    compute: str,
    sizes: cases.Sizes,
    own: float | None,
    eager: float | None,
    flops: float | None,
) -> dict[str, object]:
    most = peak(setting.device.device_kind, compute)
    share = f"{flops / own / most * 1e3:.1%}" if flops and own and most else None
    return {
        "stage": name,
        "type": compute,
        "batch": sizes.pairs.get(name, sizes.batch),
        "eager / ours": sides.ratio(eager, own),
        "compiled / ours": None,
        "ours, ms a step": own,
        "eager, ms": eager,
        "compiled, ms": None,
        "GFLOP a step": flops and flops / 1e9,
        "of peak": share if most or name in cases.LOOPS else "unknown",
        "device busy": None,
    }


def _theirs(name: str, compute: str, data: Dataset, sizes: cases.Sizes, compiler: Callable) -> Callable[[], sides.Side]:
    def make() -> sides.Side:
        import torch_steps

        return torch_steps.theirs(name, data, sizes, compute)(compiler)

    return make


def _compiled(measured: Measured, data: Dataset, sizes: cases.Sizes, report: Report) -> None:
    """Fills in torch.compile's columns, by a ratio to our step timed again beside it."""
    import torch

    name, compute, own = measured.name, measured.compute, measured.own
    pair = {"ours": lambda: own.dispatch, "compiled": _theirs(name, compute, data, sizes, torch.compile)}
    times, reasons = sides.timed(pair, rounds=3)
    if why := reasons.get("compiled"):
        report.note(f"{name}, {compute}, torch.compile: {why}.")
        return
    measured.row["compiled, ms"] = times["compiled"]
    measured.row["compiled / ours"] = sides.ratio(times["compiled"], times["ours"] / own.steps)
    report.save()


def _trace(setting: Setting, name: str, own: our_steps.Timed) -> dict[str, object] | None:
    """Traces a few dispatches, one after another as in training, to be opened by TensorBoard or Perfetto; what the
    trace says, see `trace.told`."""
    folder = setting.out / "profile" / name.replace(": ", "_").replace(", ", "_").replace(" ", "_")
    with jax.profiler.trace(str(folder)):
        for _ in range(DISPATCHES):
            last = own.dispatch()
        clock.wait(last)
    return trace.told(folder, setting.device.platform)
