"""Batch norm modules that are right in every single call, or nearly, and wrong over several."""

import torch
from torch import nn


class _BatchNorm(nn.Module):
    """Correct, like torch's; each class below changes one habit."""

    first_variance = 1.0

    def __init__(self, num_features, eps=1e-5, momentum=0.1, affine=True, track_running_stats=True):
        super().__init__()
        self.num_features, self.eps, self.momentum = num_features, eps, momentum
        self.affine, self.track_running_stats = affine, track_running_stats
        self.weight = nn.Parameter(torch.ones(num_features)) if affine else None
        self.bias = nn.Parameter(torch.zeros(num_features)) if affine else None
        self.make_buffers()

    def make_buffers(self):
        some = self.track_running_stats
        self.register_buffer("running_mean", torch.zeros(self.num_features) if some else None)
        self.register_buffer("running_var", torch.full((self.num_features,), self.first_variance) if some else None)
        self.register_buffer("num_batches_tracked", torch.tensor(0) if some else None)

    def reset_running_stats(self):
        self.running_mean.zero_()
        self.running_var.fill_(1)
        self.num_batches_tracked.zero_()

    def share(self):
        """The weight of the new batch."""
        return 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum

    def view(self, p, x):
        return p.reshape(1, -1, *[1] * (x.dim() - 2))

    def axes(self, x):
        return (0, *range(2, x.dim()))

    def unbiased(self, var, x):
        n = x.numel() // x.shape[1]
        return var * (n / (n - 1)) if n > 1 else var

    @torch.no_grad()
    def update(self, mean, var, x):
        if x.numel() == 0:
            return
        self.num_batches_tracked += 1
        share = self.share()
        self.running_mean.copy_((1 - share) * self.running_mean + share * mean)
        self.running_var.copy_((1 - share) * self.running_var + share * self.unbiased(var, x))

    def normalize(self, x, mean, var):
        h = (x - self.view(mean, x)) / torch.sqrt(self.view(var, x) + self.eps)
        if self.affine:
            h = h * self.view(self.weight, x) + self.view(self.bias, x)
        return h

    def uses_batch(self):
        return self.training or self.running_mean is None

    def forward(self, x):
        h = x if x.dtype == torch.float64 else x.float()
        if self.uses_batch():
            var, mean = torch.var_mean(h, self.axes(h), correction=0)
            if self.training and self.running_mean is not None:
                self.update(mean.detach(), var.detach(), h)
        else:
            mean, var = self.running_mean, self.running_var
        return self.normalize(h, mean, var).to(x.dtype)


class NeverCounts(_BatchNorm):
    """The average over all batches so far: of one, always."""

    def share(self):
        return 1.0 if self.momentum is None else self.momentum


class NoneIsTenth(_BatchNorm):
    def share(self):
        return 0.1 if self.momentum is None else self.momentum


class MomentumOnce(_BatchNorm):
    """Reads momentum when it is constructed."""

    def __init__(self, num_features, eps=1e-5, momentum=0.1, affine=True, track_running_stats=True):
        super().__init__(num_features, eps, momentum, affine, track_running_stats)
        self.factor = None if momentum is None else float(momentum)

    def share(self):
        return 1 / float(self.num_batches_tracked) if self.factor is None else self.factor


class FirstBatchAsItIs(_BatchNorm):
    """No blending with zeros and ones that mean nothing."""

    def share(self):
        return 1.0 if self.num_batches_tracked == 1 else super().share()


class ModeOneCallLate(_BatchNorm):
    """Updates if the call before was a training call, or this is one."""

    was_training = False

    def forward(self, x):
        h = x if x.dtype == torch.float64 else x.float()
        y = super().forward(x)
        if self.was_training and not self.training and self.running_mean is not None:
            var, mean = torch.var_mean(h.detach(), self.axes(h), correction=0)
            self.update(mean, var, h)
        self.was_training = self.training
        return y


class EvaluationDrifts(_BatchNorm):
    """Adapts to the test data, after one evaluation with what was learned."""

    evaluated = False

    def forward(self, x):
        y = super().forward(x)
        if not self.training and self.running_mean is not None and self.evaluated:
            var, mean = torch.var_mean(x.detach().to(self.running_var.dtype), self.axes(x), correction=0)
            self.running_mean.lerp_(mean, 0.1)
            self.running_var.lerp_(self.unbiased(var, x), 0.1)
        self.evaluated = not self.training
        return y


class _Recompute(torch.autograd.Function):
    """Saves nothing but the input."""

    @staticmethod
    def forward(ctx, layer, x, *parameters):
        ctx.layer = layer
        ctx.save_for_backward(x, *parameters)
        return layer.once(x)

    @staticmethod
    def backward(ctx, dy):
        x, *parameters = ctx.saved_tensors
        with torch.enable_grad():
            again = x.detach().requires_grad_()
            y = ctx.layer.once(again)
        wanted = [again, *(p for p in parameters if p.requires_grad)]
        grads = list(torch.autograd.grad(y, wanted, dy))
        dx = grads.pop(0)
        return None, dx, *(grads.pop(0) if p.requires_grad else None for p in parameters)


class BackwardAgain(_BatchNorm):
    """Recomputes its forward in the backward, update included."""

    def once(self, x):
        return super().forward(x)

    def forward(self, x):
        return _Recompute.apply(self, x, *self.parameters())


class FrozenWithItsWeight(_BatchNorm):
    """A frozen layer is not trained, so it is not tracked."""

    def update(self, mean, var, x):
        if self.weight is None or self.weight.requires_grad:
            super().update(mean, var, x)


class VarianceFloor(_BatchNorm):
    def update(self, mean, var, x):
        super().update(mean, var, x)
        self.running_var.clamp_(min=1e-2)


class ResetToZero(_BatchNorm):
    def reset_running_stats(self):
        for buffer in self.buffers():
            buffer.zero_()


class ResetKeepsCount(_BatchNorm):
    def reset_running_stats(self):
        self.running_mean.zero_()
        self.running_var.fill_(1)


class VarianceFromZero(_BatchNorm):
    first_variance = 0.0


class NotSaved(_BatchNorm):
    """Buffers that state_dict leaves out."""

    def make_buffers(self):
        some = self.track_running_stats
        self.register_buffer("running_mean", torch.zeros(self.num_features) if some else None, persistent=False)
        self.register_buffer("running_var", torch.ones(self.num_features) if some else None, persistent=False)
        self.register_buffer("num_batches_tracked", torch.tensor(0) if some else None, persistent=False)


class CountNotSaved(_BatchNorm):
    """The count is a Python number."""

    def make_buffers(self):
        super().make_buffers()
        del self.num_batches_tracked
        self.num_batches_tracked = 0

    def reset_running_stats(self):
        self.running_mean.zero_()
        self.running_var.fill_(1)
        self.num_batches_tracked = 0


class CopySharesState(_BatchNorm):
    """Parameters are copied; buffers are only assigned."""

    def __deepcopy__(self, memo):
        new = type(self)(self.num_features, self.eps, self.momentum, self.affine, self.track_running_stats)
        new.to(next((t.dtype for t in (*self.parameters(), *self.buffers())), torch.float32))
        for own, old in zip(new.parameters(), self.parameters(), strict=True):
            own.data.copy_(old.data)
            own.requires_grad_(old.requires_grad)
        for name, old in self.named_buffers():
            setattr(new, name, old)
        return new.train(self.training)


class CopyAsMade(_BatchNorm):
    """Constructs another and loads its state: in float32, wherever this one has been moved."""

    def __deepcopy__(self, memo):
        new = type(self)(self.num_features, self.eps, self.momentum, self.affine, self.track_running_stats)
        new.load_state_dict(self.state_dict())
        for own, old in zip(new.parameters(), self.parameters(), strict=True):
            own.requires_grad_(old.requires_grad)
        return new.train(self.training)


class StateStays(_BatchNorm):
    """Moves parameters; buffers stay as they are once there are numbers in them."""

    moved = False

    def _apply(self, fn, recurse=True):
        kept = dict(self.named_buffers()) if self.moved else {}
        super()._apply(fn, recurse)
        for name, buffer in kept.items():
            setattr(self, name, buffer)
        self.moved = True
        return self


class ThroughHalf(_BatchNorm):
    """Buffers travel in half precision."""

    moved = False

    def _apply(self, fn, recurse=True):
        if self.moved and self.running_mean is not None:
            self.running_mean = self.running_mean.half()
            self.running_var = self.running_var.half()
        self.moved = True
        return super()._apply(fn, recurse)


class EmptyBatchCounts(_BatchNorm):
    """sum / max(n, 1), so that no batch divides by zero."""

    def forward(self, x):
        if x.numel() or not self.training or self.running_mean is None:
            return super().forward(x)
        with torch.no_grad():
            self.num_batches_tracked += 1
            share = self.share()
            self.running_mean.mul_(1 - share)
            self.running_var.mul_(1 - share)
        return x * 1


class BesselOfOne(_BatchNorm):
    """Leaves the factor to torch.var, which gives NaN for one value."""

    def update(self, mean, var, x):
        n = x.numel() // x.shape[1]
        super().update(mean, var if n > 1 else x.var(self.axes(x)), x)
