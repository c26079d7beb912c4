"""ReGene: classify and generate (arXiv 2004.07543)."""
