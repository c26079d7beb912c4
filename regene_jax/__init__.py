"""ReGene, classify and generate (arXiv 2004.07543): convex combinations of a classifier's latents, decoded."""
