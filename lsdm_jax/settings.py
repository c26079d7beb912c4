"""What each matcher and each kind of representation has for settings of its own, with their defaults.

`lsdm_jax.sections` makes sections of a config of them. They stand apart from what reads them, so that a config is made,
and what is mistyped in it refused, before anything is imported that computes.
"""

MATCHERS = {  # by `matching.matcher`; the section `matching.NAME`
    "critic": dict(
        penalty=10.0,  # λ
        one_sided=False,  # leave slopes of f below 1 free
        steps=3,  # of f for each of G
        network="dense",  # f; or convolution, mixer, attention: of latents with places, see `lsdm_jax.matchers.places`
        width=512,  # of f's layers
        depth=3,
        optimiser=dict(learning_rate=5e-4, b1=0.0),
    ),
    "energy": dict(
        squares=(),  # sides of squares of places, each of which has a score of its own beside that of the whole
    ),
    "flow": dict(
        epsilon=5.0,  # in units of latent distance
        max_iterations=200,
        threshold=1e-2,  # a plan has converged where its marginals are off by less, in L1
        thinning=1,  # points of the data, and of the model's second batch, for each point that is moved
    ),
    "gmm": dict(
        components=10,  # of the mixture of each class
        covariance_floor=1e-3,  # added to the variance of each coordinate, which over all classes is 1
        iterations=200,  # of expectation maximisation, at most; 0: the clusters of k-means that it would start from
        conditional=True,  # a mixture for each class; False: one for all, and samples heed no label
    ),
    "prior": dict(),
    "score": dict(
        sampling_steps=50,
        guidance=0.0,  # w of D + w (D − D without condition); 0: none. Otherwise a step takes two evaluations
        label_dropout=0.1,  # share of a batch whose condition F does not see
        sigma_data=1.0,  # root mean square of a latent's coordinate, and the unit of the next four
        sigma_mean=-0.5,  # of ln σ in training
        sigma_std=1.2,
        sigma_min=0.005,  # where sampling ends
        sigma_max=80.0,  # where sampling begins
    ),
    "sinkhorn": dict(
        epsilon=5.0,  # in units of latent distance; lower: truer samples and less spread
        max_iterations=200,
        threshold=1e-2,  # a plan has converged where its marginals are off by less, in L1
    ),
    "vae": dict(
        conditional=True,  # both networks see the label; False: neither, and samples heed none
    ),
}
KINDS = {  # by `representation.kind`; the section `representation.NAME`, of numbers that are 0 or more
    # Standard deviation of what the decoder's inputs get in training, in units of the latents' own scale.
    "autoencoder": dict(noise=0.05),
    "vae": dict(kl=0.05),  # weight of KL(q(z|Y) || N(0, I))
    "wae": dict(mmd=10.0),  # weight of MMD²(q(z), N(0, I))
    "rae": dict(l2=1e-3),  # weight of the latents' half squared norm
}
