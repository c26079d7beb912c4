"""sweep.md: the main metrics of a sweep as one table in Markdown, with what papers report beside them."""

from collections.abc import Mapping, Sequence
from typing import Any

from experiment_jax.comparison.explained import plain
from experiment_jax.comparison.table import Row, best_of, metrics_of, settings_of, to_markdown
from experiment_jax.metrics.directions import OWN, directed

# In this order, each in all features that it was taken in; what a system has not is an empty cell.
MAIN = ("fd_gen", "fid_gen", "fd_recon", "fd_gen_vs_recon", "precision", "recall", "accuracy_gen", "cas")
FACTS = ("pixel_spread", "nfe", "parameters", "images_per_second", "training_seconds")
REPORTED = "evaluation.reported"


def markdown(rows: Sequence[Row], measured: Mapping[str, Any]) -> str:
    """The table, what it rests on, and what is wrong with rows.

    Args:
        rows: of the table.
        measured: all metrics of one of them; {}: nothing was measured.
    """
    known = metrics_of(rows)
    main = [key for kind in MAIN for key in known if directed(key) == kind]
    columns = [*main, *(key for key in FACTS if key in known)]
    best = {key: names for key, names in best_of(rows).items() if directed(key) not in OWN}
    reported = [key for key in settings_of(rows) if key == REPORTED]
    said = [to_markdown(rows, reported, columns, best)]
    if measured:
        facts = [key for key in measured if key in ("protocol", "judge") or key.startswith(("extractor_", "fd_floor"))]
        said.append(", ".join(f"`{key}` {plain(measured[key])}" for key in facts) + ".\n")
    if reported:
        said.append("`evaluation.reported` is a paper's figure by its own protocol, and compares with no other here.\n")
    if problems := [f"- {row.name}: {problem}\n" for row in rows for problem in row.problems]:
        said.append("".join(problems))
    return "\n".join(said)
