"""What each GAN and each autoencoder has for settings of its own, with their defaults.

Those of autoencoders are Ghosh et al.'s and Zhang et al.'s for MNIST; of GANs, Lucic et al.'s.
"""

LOSSES = {  # by `gan.loss`; the section `gan.NAME`
    "ns_gan": {},
    "lsgan": {},
    "wgan_gp": dict(penalty=10.0),  # λ
    "began": dict(gamma=0.75, rate=1e-3),  # γ; λ_k
}
KINDS = {  # by `autoencoder.kind`; the section `autoencoder.NAME`, of numbers that are 0 or more
    "vae": dict(kl=0.312),  # weight of KL(q(z | x) ‖ N(0, I))
    "cv_vae": dict(kl=0.039, sigma=0.7),  # weight of ½‖μ‖²; deviation of the posterior
    "wae": dict(mmd=3e-2),  # weight of MMD²(q(z), N(0, I))
    "rae_sn": dict(l2=0.009),  # β, weight of the latents' mean square
    "two_stage_vae": {},
    # a, b, c, d; and after how many steps they begin.
    "lvpga": dict(latent=0.06, logdet=0.02, kl=0.02, likelihood=0.0, delay=3000),
}
