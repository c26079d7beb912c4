"""Earlier evaluations of a run, in `DIR/eval/<step>/`: none is lost to one that measured less.

`metrics.json` is the last evaluation. What an evaluation with the same marks (protocol, options, judge, witnesses)
measured before and the new one did not, such as `cas`, stays in it: run and samples are the same. An evaluation with
other marks is kept beside it, as `metrics-<protocol>-<digest of its marks>.json`.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from experiment_jax.files import write_text

MARKS = ("method", "dataset", "step", "protocol", "evaluation_seed", "repeats", "references", "extractors", "judge")
DIGESTS = ("extractor_", "num_samples_")  # of what only some evaluations ask
METRICS = "metrics.json"


def read(path: Path) -> dict[str, Any]:
    """The metrics in a file; {} where there are none, or it is damaged."""
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def read_all(folder: Path) -> list[dict[str, Any]]:
    """All evaluations in a folder, the last one first."""
    return [read(path) for path in (folder / METRICS, *sorted(folder.glob("metrics-*.json")))]


def joined(folder: Path, results: Mapping[str, Any]) -> dict[str, Any]:
    """Metrics, and behind them what an earlier evaluation with the same marks measured besides."""
    same = next((each for each in read_all(folder) if each and _same(each, results)), {})
    return {**results, **{key: value for key, value in same.items() if key not in results}}


def write(folder: Path, results: Mapping[str, Any]) -> None:
    """Writes metrics.json; the one that is there is set aside if it has other marks."""
    path = folder / METRICS
    there, aside = read(path), ""
    if there and not _same(there, results):
        digest = hashlib.sha256(json.dumps(_marks(there), sort_keys=True).encode()).hexdigest()[:8]
        aside = f"{there.get('protocol', 'unknown')}-{digest}"
    write_text(path, json.dumps(results, indent=2) + "\n", aside)


def _marks(metrics: Mapping[str, Any]) -> dict[str, Any]:
    witnesses = {key: value for key, value in metrics.items() if key.startswith("witness_")}
    return {key: metrics.get(key) for key in MARKS} | witnesses


def _same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two evaluations are of the same samples by the same networks, as far as both asked these."""
    asked = [key for key in one.keys() & other.keys() if key.startswith(DIGESTS)]
    return _marks(one) == _marks(other) and all(one[key] == other[key] for key in asked)
