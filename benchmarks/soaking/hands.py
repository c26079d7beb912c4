"""Several processes at once: two trainings of one run, four workers on one sweep, two evaluations without a cache."""

import time
from pathlib import Path
from typing import Any

from soaking import Wrong
from soaking.ground import COMMANDS, RECIPE, Ground, ended
from soaking.ground import content as content_of


def trial(ground: Ground, rng: Any, number: int) -> str:
    return (trainings, workers, evaluations)[number % 3](ground, rng)


def together(ground: Ground, rng: Any, commands: list, **environment: str) -> list[tuple[int, str, str]]:
    """How commands ended that were started one shortly after another."""
    started = []
    for command in commands:
        started.append(ground.start(command, **environment))
        time.sleep(rng.uniform(0, 1.5))
    return [ended(process) for process in started]


def trainings(ground: Ground, rng: Any) -> str:
    """One trains; the other is told to wait, or finds it finished."""
    with ground.place() as folder:
        results = together(ground, rng, [COMMANDS["train"](folder)] * 2)
        statuses = sorted(status for status, _, _ in results)
        refused = [errors for status, _, errors in results if status == 2]
        if statuses not in ([0, 0], [0, 2]) or not all("writes there" in errors for errors in refused):
            raise Wrong(f"two trainings: {results}")
        ground.check("train", folder)
    return "refused" if refused else "right"


def workers(ground: Ground, rng: Any) -> str:
    with ground.place() as folder:
        results = together(ground, rng, [COMMANDS["sweep"](folder)] * 4)
        if any(status for status, _, _ in results):
            raise Wrong(f"four workers: {results}")
        ground.check("sweep", folder, rows=False)
        ground.call(COMMANDS["table"](folder))
        ground.check("table", folder)
    return "right"


def evaluations(ground: Ground, rng: Any) -> str:
    """Both find no judge and no compiled program, and train and compile them."""
    with ground.place() as folder, ground.place() as cache:
        environment = {"XDG_CACHE_HOME": str(cache), "JAX_COMPILATION_CACHE_DIR": ""}
        ground.call(["train.py", "--config", f"{RECIPE}:own_judge", "--workdir", folder])
        results = together(ground, rng, [COMMANDS["evaluate"](folder)] * 2, **environment)
        if any(status for status, _, _ in results):
            raise Wrong(f"two evaluations: {results}")
        _check_one_judge(cache)
        both = content_of("evaluate", folder)
        ground.call(COMMANDS["evaluate"](folder), **environment)
        if content_of("evaluate", folder) != both:
            raise Wrong("two evaluations: the third, with the cache that they left, differs")
    return "right"


def _check_one_judge(cache: Path) -> None:
    found = [path for path in cache.rglob("judges/*") if not path.name.startswith(".")]
    if len(found) != 1:
        raise Wrong(f"two evaluations left {len(found)} judges: {found}")
