"""PowerNorm as people write it: by a running quadratic mean, or by that of the batch."""

import torch
from torch import nn


def power_norm(x, weight, bias, running_phi, alpha_fwd=0.9, eps=1e-5):
    y = x * (running_phi + eps).rsqrt() * weight + bias
    with torch.no_grad():
        square = (x * x).reshape(-1, x.shape[-1]).mean(0)
        running_phi.mul_(alpha_fwd).add_(square, alpha=1 - alpha_fwd)
    return y


class ByPaper(torch.autograd.Function):
    """(g - nu z) / psi in the backward, nu from the cotangents so far."""

    @staticmethod
    def forward(ctx, x, phi, nu, alpha, eps):
        psi = (phi + eps).sqrt()
        z = x / psi
        ctx.save_for_backward(z, psi, nu)
        ctx.alpha = alpha
        return z

    @staticmethod
    def backward(ctx, g):
        z, psi, nu = ctx.saved_tensors
        g = g - nu * z
        nu.add_((1 - ctx.alpha) * (g * z).mean((0, 2), keepdim=True))
        return g / psi, None, None, None, None


class PowerNormOfMaps(nn.Module):
    """Its buffers have the shape of maps, as the layer has inside."""

    def __init__(self, num_features, eps=1e-5, alpha_fwd=0.9, alpha_bkw=0.9):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(num_features))
        self.bias = nn.Parameter(torch.zeros(num_features))
        self.register_buffer("running_phi", torch.ones(1, num_features, 1))
        self.register_buffer("ema_gz", torch.zeros(1, num_features, 1))
        self.eps, self.afwd, self.abkw = eps, alpha_fwd, alpha_bkw

    def forward(self, x):
        maps = x.reshape(x.shape[0], -1, x.shape[-1]).transpose(1, 2)
        phi = self.running_phi.clone()
        self.running_phi.copy_(self.afwd * phi + (1 - self.afwd) * maps.detach().pow(2).mean((0, 2), keepdim=True))
        z = ByPaper.apply(maps, phi, self.ema_gz, self.abkw, self.eps)
        y = self.weight[:, None] * z + self.bias[:, None]
        return y.transpose(1, 2).reshape(x.shape)


class PowerNormOfAuthors(nn.Module):
    """In its backward the root is that of the batch."""

    def __init__(self, num_features, eps=1e-5, alpha_fwd=0.9):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(num_features))
        self.bias = nn.Parameter(torch.zeros(num_features))
        self.register_buffer("running_phi", torch.ones(num_features))
        self.eps, self.afwd = eps, alpha_fwd

    def forward(self, x):
        square = x.detach().pow(2).flatten(0, -2).mean(0)
        psi = (self.running_phi + self.eps).sqrt()
        way = x / (square + self.eps).sqrt()
        z = way + (x / psi - way).detach()
        self.running_phi.copy_(self.afwd * self.running_phi + (1 - self.afwd) * square)
        return self.weight * z + self.bias


class UpdatesFirst(nn.Module):
    def __init__(self, num_features, eps=1e-5, alpha_fwd=0.9):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(num_features))
        self.bias = nn.Parameter(torch.zeros(num_features))
        self.register_buffer("running_phi", torch.ones(num_features))
        self.eps, self.alpha = eps, alpha_fwd

    def forward(self, x):
        square = x.pow(2).flatten(0, -2).mean(0)
        phi = self.alpha * self.running_phi + (1 - self.alpha) * square
        self.running_phi.copy_(phi.detach())
        return self.weight * x * torch.rsqrt(phi + self.eps) + self.bias


def momentum_of_torch(x, weight, bias, running_phi, alpha_fwd=0.9, eps=1e-5):
    y = x * (running_phi + eps).rsqrt() * weight + bias
    running_phi.lerp_(x.detach().pow(2).flatten(0, -2).mean(0), alpha_fwd)
    return y


def by_root_mean_square(x, weight, bias, eps=1e-5):
    dims = tuple(range(x.dim() - 1))
    return x / torch.sqrt(torch.mean(x**2, dim=dims, keepdim=True) + eps) * weight + bias


class ByLength(nn.Module):
    """The length of all numbers of a unit, over the root of how many they are."""

    def __init__(self, d_model, eps=1e-5):
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(d_model))
        self.beta = nn.Parameter(torch.zeros(d_model))
        self.eps = eps

    def forward(self, x):
        rows = x.flatten(0, -2)
        return torch.addcmul(self.beta, x, self.gamma * (rows.norm(dim=0) ** 2 / len(rows) + self.eps).rsqrt())


def of_each_case(x, weight, bias, eps=1e-5):
    return torch.nn.functional.rms_norm(x, x.shape[-1:], weight, eps) + bias


def batch_norm(x, weight, bias, eps=1e-5):
    rows = torch.nn.functional.batch_norm(x.flatten(0, -2), None, None, weight, bias, training=True, eps=eps)
    return rows.reshape(x.shape)


def by_deviation(x, weight, bias, eps=1e-5):
    dims = tuple(range(x.dim() - 1))
    return x / torch.sqrt(x.var(dims, correction=0) + eps) * weight + bias
