"""What one training step costs, by XLA's count, and the time that it takes at least on two accelerators.

Nothing is run: the step is compiled once more, by itself. The counts are those of one device and of the program that
this backend compiled, with these limits:

* XLA counts the body of a loop once, whatever its length. So one step is counted, not `steps_per_dispatch` of them. A
  loop within a step is multiplied by its length where the traced program says that, as it does for a `scan` under
  `jit`; the others are named. Loops over integers alone, by which random numbers are drawn, are left out.
* XLA does not look into calls of libraries, as on a GPU most convolutions are. Where there are any, FLOPs are those of
  the program before optimisation, divided among the devices, and bytes lack what these calls move.
* Bytes are what all instructions read and write, as if nothing stayed in a cache. Which instructions are fused, and in
  what type bfloat16 is computed, is the backend's: another one moves other bytes. So of what is compiled for a CPU the
  arithmetic time is a bound on an accelerator too, the memory time an estimate from above.
"""

import dataclasses
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr, Jaxpr, jaxpr_as_fun

from experiment_jax.devices.mesh import Program


@dataclasses.dataclass(frozen=True)
class Machine:
    """An accelerator's published peaks.

    Attributes:
        name: of the accelerator.
        precision: that products of matrices and convolutions are computed in.
        flops: FLOP a second, dense.
        bandwidth: of its memory, bytes a second.
    """

    name: str
    precision: str
    flops: float
    bandwidth: float


MACHINES = (
    Machine("H100 SXM", "bfloat16", 989e12, 3.35e12),
    Machine("H100 SXM", "TF32", 494e12, 3.35e12),
    Machine("H100 SXM", "float32", 67e12, 3.35e12),
    Machine("TPU v5e", "bfloat16", 197e12, 0.82e12),
)


@dataclasses.dataclass(frozen=True)
class Cost:
    """What one call of a program costs one device; None is unknown.

    Attributes:
        flops: floating-point operations, see the module for what is left out.
        bytes: read and written.
        peak: bytes held at once: arguments, outputs and temporaries less what outputs take over of arguments.
        counted: which program the FLOPs are of, "compiled" or "before optimisation".
        loops: length of each loop that is counted as one round; None in it: a length that is found while it runs.
        libraries: names of the library calls that XLA does not look into.
        text: whether the backend shows the program, without which neither loops nor library calls are known.
        devices: how many the program runs on.
        platform: that it was compiled for.
    """

    flops: float | None
    bytes: float | None
    peak: int | None
    counted: str = "compiled"
    loops: tuple[int | None, ...] = ()
    libraries: tuple[str, ...] = ()
    text: bool = True
    devices: int = 1
    platform: str = ""

    @property
    def intensity(self) -> float | None:
        """FLOP a byte."""
        return self.flops / self.bytes if self.flops is not None and self.bytes else None


@dataclasses.dataclass(frozen=True)
class Bound:
    """The time that a program takes at least, in seconds, and what bounds it; None is unknown.

    Attributes:
        arithmetic: FLOPs over the peak.
        memory: bytes over the bandwidth.
    """

    arithmetic: float | None
    memory: float | None

    @property
    def seconds(self) -> float | None:
        return None if self.by is None else max(self.arithmetic, self.memory)

    @property
    def by(self) -> str | None:
        """ "arithmetic" or "memory"."""
        if self.arithmetic is None or self.memory is None:
            return None
        return "arithmetic" if self.arithmetic >= self.memory else "memory"


def roofline(cost: Cost, machine: Machine) -> Bound:
    """The time of one call on one such machine, at least."""
    arithmetic = None if cost.flops is None else cost.flops / machine.flops
    return Bound(arithmetic, None if cost.bytes is None else cost.bytes / machine.bandwidth)


def of(program: Program) -> Cost:
    """What a program costs one device; compiles it, and each body of a loop of known length."""
    compiled = program.lowered.compile()
    text = shown = compiled.as_text() or ""
    libraries = tuple(sorted(set(re.findall(r'custom_call_target="([^"]+)"', text))))
    counts = _counts(program.lowered, compiled, program.parts)
    if libraries:
        text = program.lowered.as_text("hlo")
    repeated, left = _matched(scans(program.jaxpr), loops(text), optimised=not libraries)
    flops, moved = _repeated(counts, repeated, program.parts)
    first = shown.partition("\n")[0]
    return Cost(
        flops=flops,
        bytes=moved,
        peak=peak(compiled.memory_analysis()),
        counted="before optimisation" if libraries else "compiled",
        loops=left,
        libraries=libraries,
        text=bool(shown),
        devices=math.prod(map(int, re.findall(r"\b(?:num_partitions|replica_count)=(\d+)", first))),
        platform=jax.default_backend(),
    )


def _counts(lowered: Any, compiled: Any, parts: int = 1) -> tuple[float | None, float | None]:
    """FLOPs and bytes of one device, each loop as one round; see the module for calls of libraries."""
    flops, moved = (count(compiled.cost_analysis(), name) for name in ("flops", "bytes accessed"))
    if "custom_call_target=" in (compiled.as_text() or ""):
        whole = count(lowered.cost_analysis(), "flops")
        flops = None if whole is None else whole / parts
    return flops, moved


class Scan(NamedTuple):
    """A loop of known length: its body, and how often the loop itself runs, as it may lie within another."""

    body: ClosedJaxpr
    length: int
    times: int


def scans(jaxpr: Any, times: int = 1) -> Iterator[Scan]:
    """The loops of known length in a traced program, those within others too, that compute with floating point."""
    for equation in getattr(jaxpr, "jaxpr", jaxpr).eqns if jaxpr is not None else ():
        inner = times
        if equation.primitive.name == "scan":
            body, length = equation.params["jaxpr"], equation.params["length"]
            inner *= length
            if any(jnp.issubdtype(each.dtype, jnp.inexact) for each in body.in_avals):
                yield Scan(body, length, times)
        for value in equation.params.values():
            for part in value if isinstance(value, (tuple, list)) else (value,):
                if isinstance(part, (ClosedJaxpr, Jaxpr)):
                    yield from scans(part, inner)


def _matched(
    known: Iterable[Scan], found: Iterable[int | None], optimised: bool
) -> tuple[list[Scan], tuple[int | None, ...]]:
    """The scans that are loops of the counted program, and the lengths of the loops that are not among them.

    A scan that the compiler unrolled is none: its rounds are counted. Before optimisation there are all, of a length
    that the text does not say.
    """
    repeated, left = [], list(found)
    for scan in known:
        length = scan.length if optimised else None
        if length in left:
            left.remove(length)
            repeated.append(scan)
    return repeated, tuple(left)


def _repeated(
    counts: tuple[float | None, ...], repeated: Iterable[Scan], parts: int
) -> tuple[float | None, float | None]:
    """Counts with all rounds of the loops `repeated`, which they hold one of."""
    for scan in repeated:
        like = [jax.ShapeDtypeStruct(each.shape, each.dtype) for each in scan.body.in_avals]
        lowered = jax.jit(jaxpr_as_fun(scan.body)).lower(*like)
        more = _counts(lowered, lowered.compile())
        rounds = scan.times * (scan.length - 1) / parts
        counts = tuple(None if None in pair else pair[0] + rounds * pair[1] for pair in zip(counts, more, strict=True))
    return counts


def count(analysis: Mapping[str, float] | Sequence[Mapping[str, float]] | None, name: str) -> float | None:
    """One number of what `cost_analysis()` returns: a mapping, or a list that begins with one. None where it is missing
    or negative, which is how XLA says that it does not know."""
    if isinstance(analysis, Sequence):
        analysis = analysis[0] if analysis else None
    value = (analysis or {}).get(name)
    return float(value) if value is not None and value >= 0 else None


def peak(memory: Any) -> int | None:
    """Bytes held at once, of what `memory_analysis()` returns; None where the backend does not say."""
    # Aliased are outputs that take the memory of arguments, and would be counted twice.
    parts = [getattr(memory, f"{part}_size_in_bytes", None) for part in ("argument", "output", "temp", "alias")]
    if any(part is None for part in parts):
        return None
    arguments, outputs, temporaries, aliased = parts
    return arguments + outputs + temporaries - aliased


def loops(text: str) -> Iterable[int | None]:
    """The length of each loop in the text of an HLO module that carries a floating-point array; None: not known."""
    for types, rest in re.findall(r"= (.*?) while\((.*)", text):
        if re.search(r"\b(b?f|c)\d+", types):
            length = re.search(r'"known_trip_count":\{"n":"(\d+)"', rest)
            yield int(length[1]) if length else None
