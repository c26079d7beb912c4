"""What an evaluation shows a person: a picture, and a few lines."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from experiment_jax.data.load import title as title_of_data
from experiment_jax.drawing import pictures
from experiment_jax.method.stage import Samples
from experiment_jax.runs.run import Run

COLUMNS = 10  # of the picture


def picture(run: Run, held_out: np.ndarray, samples: Samples | None, labels: np.ndarray) -> np.ndarray:
    """Samples, one row a class; below a rule, reconstructions under their originals, uint8 images held out. Of a run
    that does not do one of both, the other alone; of one that heeds no class, samples as they come."""
    shown = []
    if samples is not None:
        classes = np.unique(labels)[:10]
        rows = [np.resize(np.flatnonzero(labels == c), COLUMNS) for c in classes]
        chosen = np.stack(rows) if run.model.conditional else np.resize(np.arange(len(labels)), (10, COLUMNS))
        shown.append(pictures.grid(samples.images[chosen]))
    if run.reconstructs:
        originals = held_out[: 2 * COLUMNS]
        shown.append(pictures.grid(pictures.alternate(originals, run.decode(run.encode(originals)), COLUMNS)))
    return pictures.stack(*shown) if len(shown) > 1 else shown[0]


def summary(run: Run, results: Mapping[str, Any]) -> str:
    """The metrics as a few lines for a person; what was not measured has no place in them."""
    split = results["protocol"].partition("_")[0]
    rows = {
        "accuracy by the judge": {
            "samples": "accuracy_gen",
            "reconstructions": "accuracy_recon",
            "real": "accuracy_real",
        },
        f"Fréchet distance to {split}": {"samples": "fd_gen", "reconstructions": "fd_recon", "real": "fd_floor"},
        f"W₁ of latents to {split}": {"samples": "w1_latent", "real": "w1_latent_floor"},
        "spread (1 is honest)": {"samples": "spread"},
        "PSNR in dB": {"samples": "psnr", "bicubic": "bicubic_psnr", "regression": "regression_psnr"},
        "spread over error (1 is honest)": {"samples": "spread_skill"},
        "passed its own tests": {"samples": "accepted", "candidates": "acceptance_rate"},
        "images a second": {"samples": "images_per_second"},
    }
    lines = [f"{results['method']} on {title_of_data(results['dataset'])}, step {results['step']}"]
    for title, keys in rows.items():
        found = [f"{name} {results[key]:,.3f}" for name, key in keys.items() if key in results]
        lines += [f"  {title:26}{'   '.join(found)}"] if found else []
    return "\n".join([*lines, f"  {'picture':26}{run.workdir / 'eval' / str(run.step) / 'samples.png'}"])
