"""Mean-only batch norm with one fault in each."""

import torch


def _wide(x):
    return x if x.dtype == torch.float64 else x.float()


def _view(p, x):
    return p.reshape(1, -1, *[1] * (x.dim() - 2))


def _axes(x):
    return [a for a in range(x.dim()) if a != 1]


def _update(running_mean, mean, momentum):
    if running_mean is not None:
        running_mean.copy_((1 - momentum) * _wide(running_mean) + momentum * mean.detach())


def _shifted(x, mean, bias):
    y = _wide(x) - _view(mean, x)
    return (y if bias is None else y + _view(bias, x)).to(x.dtype)


def divides_too(x, running_mean=None, bias=None, training=False, momentum=0.1):
    if not training:
        return _shifted(x, _wide(running_mean), bias)
    var, mean = torch.var_mean(_wide(x), _axes(x), correction=0)
    _update(running_mean, mean, momentum)
    y = (_wide(x) - _view(mean, x)) / torch.sqrt(_view(var, x) + 1e-5)
    return (y if bias is None else y + _view(bias, x)).to(x.dtype)


def mean_detached(x, running_mean=None, bias=None, training=False, momentum=0.1):
    if not training:
        return _shifted(x, _wide(running_mean), bias)
    mean = _wide(x).mean(_axes(x)).detach()
    _update(running_mean, mean, momentum)
    return _shifted(x, mean, bias)


def batch_in_evaluation(x, running_mean=None, bias=None, training=False, momentum=0.1):
    mean = _wide(x).mean(_axes(x))
    if training:
        _update(running_mean, mean, momentum)
    return _shifted(x, mean, bias)


def momentum_of_the_old(x, running_mean=None, bias=None, training=False, momentum=0.1):
    if not training:
        return _shifted(x, _wide(running_mean), bias)
    mean = _wide(x).mean(_axes(x))
    _update(running_mean, mean, 1 - momentum)
    return _shifted(x, mean, bias)


def of_each_case(x, running_mean=None, bias=None, training=False, momentum=0.1):
    """The mean over units and positions of each case."""
    if not training:
        return _shifted(x, _wide(running_mean), bias)
    _update(running_mean, _wide(x).mean(_axes(x)), momentum)
    y = _wide(x) - _wide(x).mean(list(range(1, x.dim())), keepdim=True)
    return (y if bias is None else y + _view(bias, x)).to(x.dtype)
