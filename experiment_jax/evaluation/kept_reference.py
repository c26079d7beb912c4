"""Statistics of real images as a file, for evaluations elsewhere."""

from typing import Any

from ml_collections import ConfigDict

from experiment_jax.errors import UserError
from experiment_jax.evaluation.plan import Plan
from experiment_jax.evaluation.real_images import train_and_test
from experiment_jax.extractors import judges, public, references
from experiment_jax.training.train import train


def keep_reference(config: ConfigDict, path: str, **options: Any) -> dict[str, Any]:
    """Writes the statistics of all real images of a protocol's split; see `references.write`.

    Args:
        config: whose data set and judge count.
        path: the .npz to write.
        options: see `Plan`: the protocol's split, and one network, the judge where none is named.

    Raises:
        UserError: several networks, or what `references.write` refuses.
    """
    plan = Plan(**options)
    networks = plan.networks()
    if len(networks) > 1 or any(networks.values()):
        raise UserError("--save_reference: keeps one network's statistics of all images; type --extractor vgg16")
    split, _ = plan.split_and_count(config)
    if networks:
        network = public.find(*networks, plan.inception_weights)
    else:
        network = judges.find(plan.judge or config.judge, config.data, train).extractor
    training, test = train_and_test(config, split)
    return references.write(network, training if split == "train" else test, split, config.data.name, path)
