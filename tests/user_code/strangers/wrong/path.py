"""Path-SGD by optimizers that are right on a net of one group without biases, stepped once."""

import torch


def _kappas(ws):
    """kappa of each weight and bias, in the order of the parameters: weights with two axes, biases with one."""
    squares = [w.detach() ** 2 for w in ws]
    into = [squares[0].new_ones(squares[0].shape[1])]
    tails = []
    for s in squares:
        if s.dim() == 2:
            tails.append(into[-1])
            into.append(s @ into[-1])
        else:
            tails.append(None)
            into[-1] = into[-1] + s
    out, after = [None] * len(ws), torch.ones_like(into[-1])
    for k in reversed(range(len(ws))):
        if squares[k].dim() == 2:
            out[k] = after[:, None] * tails[k][None, :]
            after = squares[k].t() @ after
        else:
            out[k] = after
    return out


class _PathSGD(torch.optim.Optimizer):
    def __init__(self, params, lr=0.1):
        super().__init__(params, {"lr": lr})

    def rate(self, group):
        return group["lr"]

    def kappas(self, params):
        return _kappas(params)

    def call(self, closure):
        with torch.enable_grad():
            return closure()

    def bias_factor(self):
        return 1.0

    @torch.no_grad()
    def step(self, closure=None):
        loss = None if closure is None else self.call(closure)
        params = [p for group in self.param_groups for p in group["params"]]
        rates = [self.rate(group) for group in self.param_groups for _ in group["params"]]
        for p, kappa, rate in zip(params, self.kappas(params), rates):
            if p.grad is None:
                continue
            change = torch.where(kappa > 0, p.grad / kappa.clamp_min(torch.finfo(kappa.dtype).tiny), 0.0)
            p -= rate * change * (self.bias_factor() if p.dim() == 1 else 1.0)
        self.after(params)
        return loss

    def after(self, params):
        pass


class FirstGroupsRate(_PathSGD):
    """The rate of the first group is that of all."""

    def rate(self, group):
        return self.param_groups[0]["lr"]


class RateOfConstructor(_PathSGD):
    """The rate is kept when the optimizer is made: a schedule changes nothing."""

    def __init__(self, params, lr=0.1):
        super().__init__(params, lr)
        self._rates = {id(group): group["lr"] for group in self.param_groups}

    def rate(self, group):
        return self._rates.get(id(group), group["lr"])


class KappaOnce(_PathSGD):
    """kappa is computed at the first step."""

    def kappas(self, params):
        if not hasattr(self, "_kept"):
            self._kept = _kappas(params)
        return self._kept


class KappaEveryTen(_PathSGD):
    """kappa is computed at every tenth step, as one does with long nets."""

    def kappas(self, params):
        self._count = getattr(self, "_count", -1) + 1
        if self._count % 10 == 0:
            self._kept = _kappas(params)
        return self._kept


class BiasDouble(_PathSGD):
    """Biases learn twice as fast, as in Caffe."""

    def bias_factor(self):
        return 2.0


class BiasStill(_PathSGD):
    """The paper's nets have no biases: those of others stay."""

    def bias_factor(self):
        return 0.0


class ClearsGradients(_PathSGD):
    """Gradients are gone after a step."""

    def after(self, params):
        for p in params:
            p.grad = None


class ClosureWithoutGradients(_PathSGD):
    """The closure is called where nothing is recorded."""

    def call(self, closure):
        return closure()


class SmallKappaFloored(_PathSGD):
    """kappa is at least a thousandth, so that no step is too long."""

    def kappas(self, params):
        return [k.clamp_min(1e-3) for k in _kappas(params)]
