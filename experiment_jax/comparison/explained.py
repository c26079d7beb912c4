"""What values and metrics' names mean to a person, in pages."""

from collections.abc import Sequence
from typing import Any

from experiment_jax.comparison.table import titled
from experiment_jax.drawing import pages
from experiment_jax.drawing.pages import Markup
from experiment_jax.metrics.directions import MEANINGS, directed


def plain(value: Any) -> str:
    """A value as it is read: four digits of a number, the parts of a list."""
    if isinstance(value, list | tuple):
        return ", ".join(map(plain, value)) or "none"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def meanings(metrics: Sequence[str]) -> Markup:
    """A sentence on each of the main metrics among these, and where the rest is."""
    kinds = {directed(key) for key in metrics}
    entries = {titled(key): said for key, said in MEANINGS.items() if key in kinds}
    others = [key for key in metrics if key.startswith(f"{directed(key)}_")]
    whose = f"The end of a name such as {others[0]} says whose features or verdicts it is in." if others else ""
    return pages.join([pages.definitions(entries), pages.paragraph(whose, "docs/metrics.md explains every name.")])
