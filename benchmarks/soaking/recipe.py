"""The smoke recipe of digits, smaller yet, with a row a step and a checkpoint every four; a sweep of three members."""

from pathlib import Path

from experiment_jax import load_config

SMALL = {
    "data.validation": 20,
    "evaluation.protocol": "test_70",
    "representation.steps": 24,
    "representation.batch_size": 24,
    # Two channels a group: a norm of each alone takes biases away again, and Adam follows the rounding of nothing.
    "representation.widths": (16,),
    "representation.latent_size": 3,
    "representation.log_steps": 1,
    "representation.checkpoint_steps": 4,
    "matching.steps": 24,
    "matching.batch_size": 240,
    "matching.width": 8,
    "matching.depth": 1,
    "matching.noise_size": 2,
    "matching.sinkhorn.max_iterations": 20,
    "matching.log_steps": 1,
    "matching.checkpoint_steps": 4,
}
VARIANTS = {"own_judge": {"judge": str(Path(__file__).with_name("judge.py"))}}


def get_config():
    return load_config("configs/lsdm_digits.py:smoke", SMALL)


def sweep():
    for epsilon in (1.0, 2.0, 4.0):
        yield f"epsilon-{epsilon:g}", {"matching.sinkhorn.epsilon": epsilon}
