"""The head of a printed table."""


def head(*columns: str) -> None:
    """Prints the names of the columns, as Markdown has them."""
    print(f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}", flush=True)
