"""SIGKILL at a random moment, once or twice, then the same command again: the same digests, rows, metrics and table."""

import subprocess
from typing import Any

from soaking.ground import BEFORE, COMMANDS, Ground, kill

IMPORTS = 2.0  # seconds before which a command has done nothing yet


def trial(ground: Ground, rng: Any, number: int) -> str:
    name = list(COMMANDS)[number % len(COMMANDS)]
    with ground.place(ground.whole(BEFORE[name]) if name in BEFORE else None) as folder:
        for _ in range(rng.integers(1, 3)):
            process = ground.start(COMMANDS[name](folder))
            try:
                process.wait(rng.uniform(IMPORTS, max(IMPORTS, ground.seconds(name))))
            except subprocess.TimeoutExpired:
                kill(process)
        ground.call(COMMANDS[name](folder))
        ground.check(name, folder)
    return "right"
