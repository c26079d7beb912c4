"""Commands with nonsense among their flags: what they do, or one line, status 2 and nothing written."""

from pathlib import Path
from typing import Any

from soaking import Wrong, typed
from soaking.ground import RECIPE, Ground, ended

STEPS = [f"--config.{stage}.steps=2" for stage in ("representation", "matching")]
FLAGS = (
    ("--num_samples", "0", "-3", "60", "1e3", "nan", "99999999999"),
    ("--protocol", "test_50", "test", "train_20", "validation_10", "test_0", "x_10", "test_9999999999"),
    ("--step", "0", "24", "8", "-1", "x"),
    ("--repeats", "2", "0", "x"),
    ("--extractor", "judge", "vgg17", "", "judge,judge", "judge:10"),
    ("--judge", "~", "/dev/null", "gs://x", "judges/digits"),
    ("--reference", "/dev/null", "", "a,b"),
    ("--save_samples", "10", "0", "-1"),
    ("--by", "fd_gen"),
    ("--output", "a.png"),
    ("--images", "/dev/null"),
    ("--figures",),
    ("--bound",),
)


def trial(ground: Ground, rng: Any, number: int) -> str:
    return (train, evaluate)[number % 2](ground, rng)


def train(ground: Ground, rng: Any) -> str:
    overrides = typed.drawn(str(RECIPE), rng)
    typed_flags = [f"--config.{key}={value}" for key, value in overrides.items() if "\x00" not in value]
    with ground.place() as folder:
        arguments = ["train.py", "--config", RECIPE, *STEPS, *typed_flags, "--workdir", folder]
        return _check(ground, arguments, folder, finishes=folder / "finished" / "matching")


def evaluate(ground: Ground, rng: Any) -> str:
    with ground.place(ground.whole("train")) as folder:
        flags = [FLAGS[rng.integers(len(FLAGS))] for _ in range(rng.integers(1, 3))]
        chosen = [
            part for name, *values in flags for part in (name, *([values[rng.integers(len(values))]] if values else []))
        ]
        return _check(ground, ["eval.py", "--workdir", folder, *chosen], folder)


def _check(ground: Ground, arguments: list, folder: Path, finishes: Path | None = None) -> str:
    before = _files(folder)
    status, _, errors = ended(ground.start(arguments))
    about = f"{' '.join(map(str, arguments))[:500]}: status {status}: {errors[-1000:]}"
    if status == 2:
        if not errors.splitlines()[-1].startswith(f"{arguments[0]}: "):
            raise Wrong(about)
        if _files(folder) != before and "is not finite" not in errors:
            raise Wrong(f"wrote files; {about}")
        return "refused"
    if status or (finishes and not finishes.exists()):
        raise Wrong(about)
    return "right"


def _files(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_size for path in folder.rglob("*") if path.is_file()}
