"""LSDM: latent space distribution matching (arXiv 2603.04223).

A representation is learnt from all images, paired with a condition or not; a generator is then matched to the joint law
of (condition, latent) on the pairs alone, by the 1-Wasserstein distance; generation is one step,
D(G(x, η)). (The `score` matcher takes 50.)
"""
