"""The systems that Table 1 of ReGene (arXiv 2004.07543) compares with: four GANs and six autoencoders.

A loss a file; `gan` and `autoencoder` are the stages that train them, `networks` the small networks that all share, and
`faithful` those of the public code.
"""
