"""Tables as Markdown has them."""

from collections.abc import Mapping, Sequence


def head(*columns: str) -> None:
    """Prints the names of the columns."""
    print(_head(columns), flush=True)


def lines(rows: Sequence[Mapping[str, object]]) -> list[str]:
    """The lines of a table; a column for each name in any row, a dash where a row has no such value."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    body = [f"| {' | '.join(shown(row.get(name)) for name in columns)} |" for row in rows]
    return [_head(columns), *body] if columns else []


def shown(value: object) -> str:
    """A value as a table has it: three digits of a number, thousands apart."""
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) else str(value).replace("|", "\\|")


def _head(columns: Sequence[str]) -> str:
    return f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}"
