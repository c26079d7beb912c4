"""Value and gradient of the Sinkhorn divergence by geomloss and by POT, on PyTorch's default device."""

from collections.abc import Callable

import numpy as np
import ot
import torch
from geomloss import SamplesLoss


def in_geomloss(x: np.ndarray, y: np.ndarray, epsilon: float, scaling: float) -> Callable[[], tuple]:
    loss = SamplesLoss("sinkhorn", p=1, blur=epsilon, scaling=scaling, debias=True, backend="tensorized")
    x, y = torch.tensor(x, requires_grad=True), torch.tensor(y)

    def run() -> tuple:
        value = loss(x, y)
        return value.detach(), torch.autograd.grad(value, x)[0]

    return run


def in_pot(x: np.ndarray, y: np.ndarray, epsilon: float) -> Callable[[], tuple]:
    x, y = torch.tensor(x, requires_grad=True), torch.tensor(y)

    def run() -> tuple:
        terms = [
            ot.solve(torch.cdist(*pair), reg=epsilon, reg_type="KL", tol=1e-4, max_iter=1000, grad="envelope").value
            for pair in ((x, y), (x, x), (y, y))
        ]
        value = terms[0] - (terms[1] + terms[2]) / 2
        return value.detach(), torch.autograd.grad(value, x)[0]

    return run
