"""What pyproject.toml cannot say: recipes and judges lie beside the packages, and in a wheel within one of them."""

from setuptools import find_packages, setup

SHIPPED = {f"experiment_jax.shipped.{name}": name for name in ("configs", "judges")}

setup(
    packages=[*find_packages(include=["lsdm_jax*", "regene_jax*", "rivals_jax*", "experiment_jax*"]), *SHIPPED],
    package_dir=SHIPPED,
    package_data={"experiment_jax.shipped.configs": ["*.py"], "experiment_jax.shipped.judges": ["*/*"]},
)
