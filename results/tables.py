"""The tables of README.md and docs/, made of the files in results/: `make results`, or python results/tables.py

A table stands between `<!-- table NAME -->` and `<!-- /table -->` in each document that names it. Every measured number
comes from results/*/metrics.json or results/*/sweep.csv. What no such file holds is written in the rows below: training
times, samples a second (benchmarks/README.md), and what was asked.
"""

from collections.abc import Mapping

import lsdm
import regene
from documents import SAMPLED, Results, Table, Written, columns, documents, fill, markdown

UNUSED: Mapping[str, str] = {}  # results that no table shows -> why


def digits(results: Results) -> dict[str, Table]:
    goal = dict(accuracy_gen=Written("≥ 0.95"), spread=Written("0.85–1.15"), w1_ratio=Written("≤ 1.10"))
    rows = [
        dict(of="asked of LSDM", **goal),
        results.run("lsdm_digits", of="LSDM, all labels"),
        results.run("lsdm_digits_few", of="LSDM, 100 labels"),
        results.run("regene_digits", of="ReGene, all labels"),
    ]
    members = [{"member": name, **row} for name, row in results.sweep("lsdm_digits_sweep").items()]
    sweep = columns("`fd_gen`", *SAMPLED, member="`{member}`")
    return {
        "digits": Table({"digits 8×8": "{of}", **columns("`fd_gen`", *SAMPLED, "`cas`")}, rows),
        "digits_sweep": Table(sweep, members, smallest=["`fd_gen`"], caption=False),
    }


SUBJECTS = (
    digits,
    lsdm.fashion,
    lsdm.colour,
    lsdm.representations,
    lsdm.unpaired,
    lsdm.super_resolution,
    regene.fashion,
)


def tables(results: Results) -> dict[str, str]:
    """All tables in Markdown, by name."""
    return {name: markdown(table) for subject in SUBJECTS for name, table in subject(results).items()}


def main() -> None:
    found = tables(Results())
    for path in documents():
        before = path.read_text()
        after = fill(before, found)
        if after != before:
            path.write_text(after)
            print(f"written: {path}")


if __name__ == "__main__":
    main()
