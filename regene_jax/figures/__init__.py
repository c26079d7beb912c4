"""The figures of ReGene's paper, one file each: what `eval.py --figures` draws.

Each is a function of (run, reference) that returns metrics by flat key, and pictures by name, uint8
`[height, width, 3]`.
Those of figures 3, 6 and 7 work on any run that encodes and decodes (figure 6: and samples); the others need the stage
`hull`.

    figure 3    `latent_spaces`: pictures latent_spaces, latent_space_transitions
    figure 4    `accuracies`: accuracy_gen_n2, accuracy_gen_n3, accuracy_gen_n5, and accepted_n2, …
    figure 5    `combinations`: pictures combinations, transitions
    figure 6    `closest`: pictures closest_training, closest_generations
    figure 7    `mixing`: fd_mix_0.0 … fd_mix_1.0, accuracy_mix_0.0 … accuracy_mix_1.0, picture mixing
"""

from regene_jax.figures.figure_3 import latent_spaces
from regene_jax.figures.figure_4 import accuracies
from regene_jax.figures.figure_5 import combinations
from regene_jax.figures.figure_6 import closest
from regene_jax.figures.figure_7 import mixing

__all__ = ["accuracies", "closest", "combinations", "latent_spaces", "mixing"]
