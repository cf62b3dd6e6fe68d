"""Path-SGD."""

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


class PathSGD(torch.optim.Optimizer):
    """Rates of groups, closures, frozen parameters."""

    def __init__(self, params, lr=0.1):
        super().__init__(params, {"lr": lr})

    @torch.no_grad()
    def step(self, closure=None):
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        params = [p for group in self.param_groups for p in group["params"]]
        rates = [group["lr"] for group in self.param_groups for _ in group["params"]]
        for p, kappa, rate in zip(params, _kappas(params), rates):
            if p.grad is None:
                continue
            change = torch.where(kappa > 0, p.grad / kappa.clamp_min(torch.finfo(kappa.dtype).tiny), 0.0)
            p -= rate * change
        return loss


class PathSGDByAutograd(torch.optim.Optimizer):
    """kappa is half the second derivative of the path norm, which is linear in each squared weight: by autograd."""

    def __init__(self, params, lr=0.1):
        super().__init__(params, {"lr": lr})

    def step(self, closure=None):
        loss = closure() if closure is not None else None
        pairs = [(p, group["lr"]) for group in self.param_groups for p in group["params"]]
        squares = [p.detach().square().requires_grad_() for p, _ in pairs]
        with torch.enable_grad():
            h = squares[0].new_ones(squares[0].shape[1])
            for s in squares:
                h = s @ h if s.dim() == 2 else h + s
            kappas = torch.autograd.grad(h.sum(), squares)
        with torch.no_grad():
            for (p, lr), kappa in zip(pairs, kappas):
                if p.grad is not None:
                    p.sub_(torch.where(kappa > 0, lr * p.grad / kappa, torch.zeros_like(kappa)))
        return loss


def path_sgd_function(params, lr=0.1):
    """A function that makes the optimizer."""
    return PathSGD(params, lr=lr)
