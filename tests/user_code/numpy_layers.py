"""Layers of courses and books in numpy: classes with a forward and a backward."""

import numpy as np


class BatchNormalization:
    """Parameters and statistics are arguments; the flag of the mode is one of the forward."""

    def __init__(self, gamma, beta, momentum=0.9, running_mean=None, running_var=None):
        self.gamma, self.beta, self.momentum = gamma, beta, momentum
        self.running_mean, self.running_var = running_mean, running_var

    def forward(self, x, train_flg=True):
        if self.running_mean is None:
            self.running_mean, self.running_var = np.zeros(x.shape[1]), np.zeros(x.shape[1])
        if not train_flg:
            return self.gamma * (x - self.running_mean) / np.sqrt(self.running_var + 1e-6) + self.beta
        self.xc = x - x.mean(axis=0)
        var = (self.xc**2).mean(axis=0)
        self.std = np.sqrt(var + 1e-6)
        self.xn = self.xc / self.std
        self.running_mean = self.momentum * self.running_mean + (1 - self.momentum) * x.mean(axis=0)
        self.running_var = self.momentum * self.running_var + (1 - self.momentum) * var
        return self.gamma * self.xn + self.beta

    def backward(self, dout):
        self.dgamma, self.dbeta = (self.xn * dout).sum(axis=0), dout.sum(axis=0)
        dxn = self.gamma * dout
        return (dxn - dxn.mean(axis=0) - self.xn * (dxn * self.xn).mean(axis=0)) / self.std


class LayerNorm:
    """Parameters are attributes, and gradients too."""

    def __init__(self, dim, eps=1e-5):
        self.gamma, self.beta, self.eps = np.ones(dim), np.zeros(dim), eps

    def __call__(self, x):
        mean, var = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
        self.inverse = 1 / np.sqrt(var + self.eps)
        self.xhat = (x - mean) * self.inverse
        return self.gamma * self.xhat + self.beta

    def backward(self, dout):
        axes = tuple(range(dout.ndim - 1))
        self.grad_gamma, self.grad_beta = (dout * self.xhat).sum(axes), dout.sum(axes)
        d = dout * self.gamma
        inner = d.mean(-1, keepdims=True) + self.xhat * (d * self.xhat).mean(-1, keepdims=True)
        return self.inverse * (d - inner)


class GradientsAddUp(LayerNorm):
    """Nothing clears the gradient of the call before."""

    grad_gamma = 0.0

    def backward(self, dout):
        before = self.grad_gamma
        dx = super().backward(dout)
        self.grad_gamma = before + self.grad_gamma
        return dx


class GradientsAddUpUntilCleared(GradientsAddUp):
    def zero_grad(self):
        self.grad_gamma = 0.0


class WithoutMeanTerm(LayerNorm):
    def backward(self, dout):
        super().backward(dout)
        d = dout * self.gamma
        return self.inverse * (d - self.xhat * (d * self.xhat).mean(-1, keepdims=True))


class DictsOfArrays:
    """Parameters and gradients are in dicts."""

    def __init__(self, num_features, eps=1e-5):
        self.params = {"gamma": np.ones(num_features), "beta": np.zeros(num_features)}
        self.grads, self.eps = {}, eps

    def forward(self, x):
        self.std = np.sqrt(x.var(0) + self.eps)
        self.xhat = (x - x.mean(0)) / self.std
        return self.params["gamma"] * self.xhat + self.params["beta"]

    def backward(self, dout):
        self.grads = {"gamma": (dout * self.xhat).sum(0), "beta": dout.sum(0)}
        d = dout * self.params["gamma"]
        return (d - d.mean(0) - self.xhat * (d * self.xhat).mean(0)) / self.std


class NameSpace:
    """Two functions, no layer."""

    def forward(x, gamma, beta, eps=1e-5):
        mean, inverse = x.mean(-1, keepdims=True), 1 / np.sqrt(x.var(-1, keepdims=True) + eps)
        xhat = (x - mean) * inverse
        return gamma * xhat + beta, (xhat, inverse, gamma)

    def backward(dout, cache):
        xhat, inverse, gamma = cache
        axes, d = tuple(range(dout.ndim - 1)), dout * gamma
        inner = d.mean(-1, keepdims=True) + xhat * (d * xhat).mean(-1, keepdims=True)
        return inverse * (d - inner), (dout * xhat).sum(axes), dout.sum(axes)
