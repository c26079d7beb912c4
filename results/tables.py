"""The tables of README.md and docs/, made of the files in results/: `make results`, or python results/tables.py

A table stands between `<!-- table NAME -->` and `<!-- /table -->` in each document that names it. Every measured number
comes from metrics.json or sweep.csv of a result. What no such file holds is written in the rows below: training
times, samples a second (benchmarks/README.md), and what was asked.
"""

from collections.abc import Mapping

import fixed
import lsdm
import natural
import regene
import sharpened
import table1
import unpaired
from documents import ROOT, SAMPLED, Results, Table, columns, documents, fill, markdown

OLD = ROOT / "results" / "older"  # what judges measured that each machine trained for itself

UNUSED: Mapping[str, str] = {}  # older results that no table shows -> why


def digits_sweep(results: Results) -> dict[str, Table]:
    members = [{"member": name, **row} for name, row in results.sweep("lsdm_digits_sweep").items()]
    return {
        "digits_sweep": Table(columns("`fd_gen`", *SAMPLED, member="`{member}`"), members, ["`fd_gen`"], caption=False)
    }


SUBJECTS = (
    fixed.judges,
    fixed.digits,
    fixed.fashion,
    fixed.super_resolution,
    natural.natural,
    sharpened.sharpened,
    unpaired.unpaired,
    table1.table1,
)
OLDER = (digits_sweep, lsdm.fashion, lsdm.representations, lsdm.super_resolution, regene.fashion)
NOTE = "Older judge, not comparable."


def tables(results: Results, older: Results) -> dict[str, str]:
    """All tables in Markdown, by name: of runs that the fixed judges measured, and of those that older ones did."""
    found = {name: markdown(table) for subject in SUBJECTS for name, table in subject(results).items()}
    return found | {name: markdown(table, NOTE) for subject in OLDER for name, table in subject(older).items()}


def main() -> None:
    found = tables(Results(), Results(OLD))
    for path in documents():
        before = path.read_text()
        after = fill(before, found)
        if after != before:
            path.write_text(after)
            print(f"written: {path}")


if __name__ == "__main__":
    main()
