"""Layers as one finds them in code that is compiled and exported: right when they are called, and not as a program."""

import torch


def norm(x, weight, bias, eps=1e-5):
    c = x - x.mean(-1, keepdim=True)
    return c * torch.rsqrt((c * c).mean(-1, keepdim=True) + eps) * weight + bias


def one_pass(x, weight, bias, eps):
    mean = x.mean(-1, keepdim=True)
    var = (x * x).mean(-1, keepdim=True) - mean * mean
    return (x - mean) * torch.rsqrt(var.clamp_min(0) + eps) * weight + bias


class Layer(torch.nn.Module):
    """Right in every way."""

    def __init__(self, size, eps=1e-5):
        super().__init__()
        self.eps = eps
        self.weight = torch.nn.Parameter(torch.ones(size))
        self.bias = torch.nn.Parameter(torch.zeros(size))

    def forward(self, x):
        return norm(x, self.weight, self.bias, self.eps)


class CompiledWithoutEps(Layer):
    def forward(self, x):
        return norm(x, self.weight, self.bias, 0.0 if torch.compiler.is_compiling() else self.eps)


class CompiledInOnePass(Layer):
    def forward(self, x):
        some = one_pass if torch.compiler.is_compiling() else norm
        return some(x, self.weight, self.bias, self.eps)


class ModelWithoutEps(Layer):
    def forward(self, x):
        return norm(x, self.weight, self.bias, 0.0 if torch.onnx.is_in_onnx_export() else self.eps)


class ModelWithRoundedEps(Layer):
    def forward(self, x):
        eps = float(torch.tensor(self.eps).half()) if torch.onnx.is_in_onnx_export() else self.eps
        return norm(x, self.weight, self.bias, eps)


class ModelInOnePass(Layer):
    def forward(self, x):
        some = one_pass if torch.onnx.is_in_onnx_export() else norm
        return some(x, self.weight, self.bias, self.eps)


class BranchOnValue(Layer):
    """Large inputs are scaled first, which a graph without branches cannot do."""

    def forward(self, x):
        if x.abs().max() > 1e4:
            return norm(x * 2.0**-20, self.weight, self.bias, self.eps * 2.0**-40)
        return norm(x, self.weight, self.bias, self.eps)


class FrozenValue(Layer):
    """Clips at the largest value, a Python number; while a program is made there is none, and a constant stands for it."""

    def forward(self, x):
        largest = 1.0 if torch.compiler.is_compiling() else float(x.abs().max())
        return norm(x.clamp(-largest, largest), self.weight, self.bias, self.eps)


class FrozenBatch(Layer):
    """Counts the cases as a Python number."""

    def forward(self, x):
        rows = torch.ones(int(x.shape[0]), *(1,) * (x.ndim - 1), dtype=x.dtype)
        return norm(x, self.weight, self.bias, self.eps) * rows


class AnotherGraph(Layer):
    """Prints, which no graph can hold."""

    def forward(self, x):
        y = norm(x, self.weight, self.bias, self.eps)
        torch._dynamo.graph_break()
        return y * 1.0


class EachSizeAnew(Layer):
    """Makes a text of the number of cases, so that each number is another code."""

    def forward(self, x):
        size = float(len(str(x.shape[0])) > 0)
        return norm(x, self.weight, self.bias, self.eps) * size


class Fused(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weight, bias, eps):
        c = x - x.mean(-1, keepdim=True)
        r = torch.rsqrt((c * c).mean(-1, keepdim=True) + eps)
        ctx.save_for_backward(c * r, r, weight)
        return c * r * weight + bias

    @staticmethod
    def backward(ctx, dy):
        xh, r, weight = ctx.saved_tensors
        g = dy * weight
        dx = r * (g - g.mean(-1, keepdim=True) - xh * (g * xh).mean(-1, keepdim=True))
        axes = tuple(range(dy.ndim - 1))
        return dx, (dy * xh).sum(axes), dy.sum(axes), None


class OtherBackward(Fused):
    @staticmethod
    def backward(ctx, dy):
        xh, r, weight = ctx.saved_tensors
        g = dy * weight
        mean = 0.0 if torch.compiler.is_compiling() else g.mean(-1, keepdim=True)
        dx = r * (g - mean - xh * (g * xh).mean(-1, keepdim=True))
        axes = tuple(range(dy.ndim - 1))
        return dx, (dy * xh).sum(axes), dy.sum(axes), None


def fused(x, weight, bias, eps=1e-5):
    return Fused.apply(x, weight, bias, eps)


def other_backward(x, weight, bias, eps=1e-5):
    return OtherBackward.apply(x, weight, bias, eps)


class StaleStatistics(torch.nn.BatchNorm1d):
    def forward(self, x):
        if torch.compiler.is_compiling() and self.training:
            return torch.nn.functional.batch_norm(x, None, None, self.weight, self.bias, True, 0.1, self.eps)
        return super().forward(x)
