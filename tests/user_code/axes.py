"""Normalizers that take their statistics over wrong axes, in the ways in which they are mistaken."""

import torch


def normalized(x, axes, eps):
    mean = x.mean(axes, keepdim=True)
    variance = (x - mean).square().mean(axes, keepdim=True)
    return (x - mean) / torch.sqrt(variance + eps)


def layer_norm(axes):
    def function(x, weight, bias, eps=1e-5):
        return normalized(x, axes(x.dim()), eps) * weight + bias

    return function


def scaled(y, weight, bias):
    units = (1, -1) + (1,) * (y.dim() - 2)
    return y * weight.view(units) + bias.view(units)


def instance_norm(axes):
    def function(x, weight, bias, eps=1e-5):
        return scaled(normalized(x, axes(x.dim()), eps), weight, bias)

    return function


def batch_norm(axes):
    def function(x, running_mean, running_var, weight, bias, training=False, momentum=0.1, eps=1e-5):
        units = (1, -1) + (1,) * (x.dim() - 2)
        if not training:
            y = (x - running_mean.view(units)) / torch.sqrt(running_var.view(units) + eps)
            return scaled(y, weight, bias)
        if running_mean is not None:
            over = tuple(a for a in range(x.dim()) if a != 1)
            with torch.no_grad():
                running_mean.lerp_(x.mean(over), momentum)
                running_var.lerp_(x.var(over), momentum)
        return scaled(normalized(x, axes(x.dim()), eps), weight, bias)

    return function


def group_norm(axes):
    """Axes of (cases, groups, channels of a group, *space)."""

    def function(x, num_groups, weight, bias, eps=1e-5):
        grouped = x.reshape(x.shape[0], num_groups, x.shape[1] // num_groups, *x.shape[2:])
        return scaled(normalized(grouped, axes(grouped.dim()), eps).reshape(x.shape), weight, bias)

    return function


layer_all_but_the_first = layer_norm(lambda rank: tuple(range(min(1, rank - 1), rank)))
layer_last_two = layer_norm(lambda rank: tuple(range(max(rank - 2, 0), rank)))
layer_first = layer_norm(lambda rank: (0,))
layer_second = layer_norm(lambda rank: (min(1, rank - 1),))
layer_second_to_last = layer_norm(lambda rank: (max(rank - 2, 0),))
layer_all = layer_norm(lambda rank: tuple(range(rank)))
batch_cases = batch_norm(lambda rank: (0,))
batch_without_the_last = batch_norm(lambda rank: tuple(a for a in range(max(rank - 1, 1)) if a != 1))
instance_last = instance_norm(lambda rank: (rank - 1,))
instance_channels_too = instance_norm(lambda rank: tuple(range(1, rank)))
instance_cases_too = instance_norm(lambda rank: (0, *range(2, rank)))
instance_channels = instance_norm(lambda rank: (1,))
group_channels = group_norm(lambda rank: (2,))
group_positions = group_norm(lambda rank: tuple(range(3, rank)) or (2,))
group_channels_and_columns = group_norm(lambda rank: (2, rank - 1) if rank > 3 else (2,))
group_cases_too = group_norm(lambda rank: (0, *range(2, rank)))
