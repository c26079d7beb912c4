"""Small sweeps, as config files."""

import pytest

CONFIG = """
import runpy
from experiment_jax.config.load import override

def get_config():
    config = runpy.run_path("configs/lsdm_digits.py")["get_config"]()
    override(config, {settings!r})
    return config
{sweep}
"""


@pytest.fixture
def swept(tiny, tmp_path, monkeypatch, request):
    """`swept("yield …", key__name=value)` -> the path of a tiny config with that body of `sweep()`; "": without."""
    from experiment_jax.config.load import flat

    monkeypatch.chdir(request.config.rootpath)

    def write(body, **overrides):
        small = {"evaluation.protocol": "test_90"}
        settings = {**small, **{key.replace("__", "."): value for key, value in overrides.items()}}
        differing = {**_differing(flat(tiny()), flat(_shipped())), **settings}
        lines = "".join(f"    {line}\n" for line in body.splitlines())
        path = tmp_path / "small.py"
        path.write_text(CONFIG.format(settings=differing, sweep=f"\ndef sweep():\n{lines}" if body else ""))
        return str(path)

    return write


def _shipped():
    from experiment_jax import load_config

    return load_config("configs/lsdm_digits.py")


def _differing(small, shipped):
    return {key: value for key, value in small.items() if value != shipped[key] and value is not None}
