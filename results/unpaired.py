"""The tables of what unpaired images are worth: means over seeds, and differences seed by seed."""

import statistics
from collections.abc import Mapping, Sequence

from documents import Results, Row, Table, columns
from fixed import noisy, standard_error

WAYS = ("pairs", "pseudo", "sampled", "marginal", "posterior")
ORACLES = {"oracle": "all labels, class by class", "oracle_joint": "all labels, one joint problem"}


def unpaired(results: Results) -> dict[str, Table]:
    """The ways by data set, what `posterior` differs in from each, and digits by n and N."""
    found: dict[str, Table] = {}
    for name, counts, keys in (
        ("fashion_mnist_sharpened", "600", ("fd_gen", "recall", "accuracy_gen", "cas")),
        ("fashion_mnist", "600-59400", ("fd_gen", "recall", "accuracy_gen")),
        ("digits", "50-1000", ("fd_gen", "recall", "accuracy_gen")),
    ):
        runs = results.sweep(f"study_unpaired_{name}", "runs.csv")
        found[f"unpaired_{name}_differences"] = _differences(runs, counts, keys)
    for name in ("fashion_mnist_sharpened", "fashion_mnist", "fashion_mnist_n100", "mnist_n100"):
        found[f"unpaired_{name}"] = _ways(results.sweep(f"study_unpaired_{name}"))
    digits = results.sweep("study_unpaired_digits")
    return found | {
        "unpaired_digits": _crossed(digits, "{%s[fd_gen]:.3f} ± {%s[fd_gen_se]:.3f}", smallest=True),
        "unpaired_digits_classes": _crossed(digits, "{%s[accuracy_gen]:.3f} / {%s[recall]:.2f}"),
        "unpaired_digits_images": _by_images(digits),
    }


def _parts(name: str) -> tuple[str, int, int]:
    """The way, n and N of a member; 0 where the name does not say them."""
    way, *counts = name.partition("-seed")[0].split("-")
    n, many = [*map(int, counts), 0, 0][:2]
    return way, n, many


def _crossed(members: Mapping[str, Row], form: str, smallest: bool = False) -> Table:
    """A row for each n and N, a column for each way, and the oracles' row below."""
    rows: dict[tuple[int, int], dict] = {}
    for name, row in members.items():
        way, n, many = _parts(name)
        if n and many:
            rows.setdefault((n, many), {"n": f"{n}", "N": f"{many:,}"})[way] = row
    shown = {f"`{way}`": form.replace("%s", way) for way in WAYS}
    # What all labels reach stands below the ways that match alike: class by class, or in one joint problem.
    all_labels = {"n": "all", "pairs": members["oracle"], "posterior": members["oracle_joint"]}
    found = [rows[key] for key in sorted(rows)] + [all_labels]
    return Table({"n": "{n}", "N": "{N}", **shown}, found, list(shown) if smallest else (), across=True, caption=False)


def _by_images(members: Mapping[str, Row]) -> Table:
    """The paper's own way, `pairs`, by N, and the way that uses all latents beside it."""
    rows = []
    for name, row in members.items():
        way, n, many = _parts(name)
        if n and way in ("pairs", "posterior"):
            rows.append((n, way, many, {**row, "n": f"{n}", "N": f"{many:,}", "way": f"`{way}`"}))
    keys = ("fd_gen", "recall", "fidelity", "copied", "mae_recon", "fd_recon")
    shown = {"n": "{n}", "": "{way}", "N": "{N}", **{f"`{key}`": noisy(key) for key in keys}}
    return Table(shown, [row for *_, row in sorted(rows, key=lambda each: each[:3])], caption=False)


def _ways(members: Mapping[str, Row]) -> Table:
    """A row a way of one n and N; with errors where there are several seeds."""
    names = [_parts(name)[0] for name in members]
    rows = [{**row, "way": ORACLES.get(way, f"`{way}`")} for way, row in zip(names, members.values(), strict=True)]
    several = all(row["runs"] > 1 for row in rows)
    keys = ["fd_gen", "precision", "recall", "accuracy_gen", "spread", *(["cas"] if "cas" in rows[0] else [])]
    shown = {"`matching.labels`": "{way}", **{f"`{key}`": noisy(key) if several else f"{{{key}:.3f}}" for key in keys}}
    shown |= columns("`fd_gen_vs_recon`", "`fd_recon`")
    return Table(shown, rows, ["`fd_gen`"], caption=False, largest=["`recall`"])


def _differences(runs: Mapping[str, Row], counts: str, keys: Sequence[str]) -> Table:
    """`posterior` less each other row, seed by seed: mean, standard error, and whether all seeds agree in sign."""
    of: dict[str, dict[str, Row]] = {}
    for name, row in runs.items():
        member, _, seed = name.rpartition("-seed")
        of.setdefault(member, {})[seed] = row
    rows = []
    for other in (*(f"{way}-{counts}" for way in WAYS[:-1]), *ORACLES):
        pairs = [(own, of[other][seed]) for seed, own in of[f"posterior-{counts}"].items()]
        measured = [key for key in keys if all(key in theirs for _, theirs in pairs)]
        cells = {key: _difference([own[key] - theirs[key] for own, theirs in pairs]) for key in measured}
        rows.append({**cells, "of": ORACLES.get(other, f"`{_parts(other)[0]}`")})
    return Table({"`posterior` less": "{of}", **{f"`{key}`": f"{{{key}}}" for key in keys}}, rows, caption=False)


def _difference(values: Sequence[float]) -> str:
    """Mean ± standard error, and whether signs differ."""
    alike = len({value > 0 for value in values}) == 1
    mean, error = statistics.mean(values), standard_error(values)
    return f"{mean:+.3f} ± {error:.3f}{'' if alike else ', signs differ'}"
