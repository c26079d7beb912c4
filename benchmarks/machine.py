"""What a measurement was made on: the last line of every table."""

import os
import platform
from pathlib import Path

import jax
import numpy as np


def machine() -> str:
    """Processor or accelerator, and versions."""
    info = Path("/proc/cpuinfo")
    names = (
        [line.split(":")[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")]
        if info.is_file()
        else []
    )
    device = jax.devices()[0]
    kind = (names or [platform.machine()])[0] if device.platform == "cpu" else device.device_kind
    return f"{kind}, {len(os.sched_getaffinity(0))} CPU cores; jax {jax.__version__}, numpy {np.__version__}"
