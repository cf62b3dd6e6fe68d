"""Local context norm as people write it: by average pooling, by unfolding, in one window after the other."""

import torch
import torch.nn.functional as F
from torch import nn


def grouped(x, channels_per_group):
    return x.reshape(x.shape[0], -1, channels_per_group, *x.shape[2:])


class ByPooling(nn.Module):
    """Windows are cut at the border. What is pooled has the mean of its map near 0, so squares may be subtracted."""

    def __init__(self, num_features, channels_per_group=2, window_size=(227, 227), eps=1e-5):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(num_features, 1, 1))
        self.bias = nn.Parameter(torch.zeros(num_features, 1, 1))
        self.group, self.window, self.eps = channels_per_group, window_size, eps

    def pool(self, groups):
        size = [min(n, 2 * m - 1) for n, m in zip(self.window, groups.shape[3:])]
        half = [n // 2 for n in size]
        return F.avg_pool2d(groups.mean(2), size, stride=1, padding=half, count_include_pad=False)[:, :, None]

    def forward(self, x):
        groups = grouped(x, self.group)
        groups = groups - groups.mean((2, 3, 4), keepdim=True)
        mean = self.pool(groups)
        var = self.pool(groups**2) - mean**2
        y = (groups - mean) / torch.sqrt(var + self.eps)
        return y.reshape(x.shape) * self.weight + self.bias


def window_by_window(x, weight, bias, channels_per_group=2, window_size=(3, 3), eps=1e-5):
    """Each position has the statistics of the nearest whole window."""
    groups = grouped(x, channels_per_group)
    size = [min(n, m) for n, m in zip(window_size, x.shape[2:])]
    rows = []
    for i in range(x.shape[2]):
        row = []
        for j in range(x.shape[3]):
            a, b = (min(max(k - (n - 1) // 2, 0), m - n) for k, n, m in zip((i, j), size, x.shape[2:]))
            window = groups[:, :, :, a : a + size[0], b : b + size[1]]
            var, mean = torch.var_mean(window, (2, 3, 4), correction=0, keepdim=True)
            row.append((groups[:, :, :, i, j] - mean[..., 0, 0]) / torch.sqrt(var[..., 0, 0] + eps))
        rows.append(torch.stack(row, -1))
    y = torch.stack(rows, -2).reshape(x.shape)
    return y * weight[:, None, None] + bias[:, None, None]


def cut_windows(x, weight, bias, channels_per_group=2, window_size=(3, 3), eps=1e-5):
    """Each position has the statistics of what of its window is on the map."""
    groups = grouped(x, channels_per_group)
    up, left = (n // 2 for n in window_size)
    y = torch.empty_like(groups)
    for i in range(x.shape[2]):
        for j in range(x.shape[3]):
            window = groups[:, :, :, max(i - up, 0) : i + up + 1, max(j - left, 0) : j + left + 1]
            var, mean = torch.var_mean(window, (2, 3, 4), correction=0, keepdim=True)
            y[:, :, :, i, j] = ((groups[:, :, :, i : i + 1, j : j + 1] - mean) / (var + eps).sqrt())[..., 0, 0]
    return y.reshape(x.shape) * weight[:, None, None] + bias[:, None, None]


class SmallWindows(nn.Module):
    """Its window is 5 x 3, whatever the map."""

    def __init__(self, num_features, channels_per_group=2):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(num_features))
        self.bias = nn.Parameter(torch.zeros(num_features))
        self.group = channels_per_group

    def forward(self, x):
        return window_by_window(x, self.weight, self.bias, self.group, (5, 3))


def unfolded(groups, size, eps, border):
    var, mean = torch.var_mean(groups.unfold(3, size[0], 1).unfold(4, size[1], 1), (2, 5, 6), correction=0)
    mean, var = (F.pad(one, border, mode="replicate")[:, :, None] for one in (mean, var))
    return mean, torch.sqrt(var + eps)


def of_constants(x, weight, bias, channels_per_group=2, window_size=(3, 3), eps=1e-5):
    groups = grouped(x, channels_per_group)
    h, w = (min(n, m) for n, m in zip(window_size, x.shape[2:]))
    with torch.no_grad():
        mean, root = unfolded(groups, (h, w), eps, ((w - 1) // 2, w // 2, (h - 1) // 2, h // 2))
    return ((groups - mean) / root).reshape(x.shape) * weight[:, None, None] + bias[:, None, None]


def one_late(x, weight, bias, channels_per_group=2, window_size=(3, 3), eps=1e-5):
    """Sums of windows as differences of running sums, of which none is 0: the first window is not there."""
    groups = grouped(x, channels_per_group)
    h, w = window_size
    if h < x.shape[2] and w < x.shape[3]:
        mean, root = unfolded(groups[..., 1:, 1:], (h, w), eps, (w // 2, w - w // 2, h // 2, h - h // 2))
    else:
        return window_by_window(x, weight, bias, channels_per_group, window_size, eps)
    return ((groups - mean) / root).reshape(x.shape) * weight[:, None, None] + bias[:, None, None]


def of_zeros(x, weight, bias, channels_per_group=2, window_size=(3, 3), eps=1e-5):
    """The map is padded with zeros before windows are taken."""
    groups = grouped(x, channels_per_group)
    h, w = (min(n, 2 * m - 1) for n, m in zip(window_size, x.shape[2:]))
    framed = F.pad(groups, (w // 2, w // 2, h // 2, h // 2))
    mean, root = unfolded(framed, (h, w), eps, (0, 0, 0, 0))
    return ((groups - mean) / root).reshape(x.shape) * weight[:, None, None] + bias[:, None, None]


class OfEachChannel(nn.Module):
    """Its groups are forgotten."""

    def __init__(self, num_features, channels_per_group=2, window_size=(3, 3), eps=1e-5):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(num_features))
        self.bias = nn.Parameter(torch.zeros(num_features))
        self.window, self.eps = window_size, eps

    def forward(self, x):
        return window_by_window(x, self.weight, self.bias, 1, self.window, self.eps)


class PooledDeviations(ByPooling):
    """The variance is the mean square about the mean of each position."""

    def forward(self, x):
        groups = grouped(x, self.group)
        mean = self.pool(groups)
        y = (groups - mean) / torch.sqrt(self.pool((groups - mean) ** 2) + self.eps)
        return y.reshape(x.shape) * self.weight + self.bias


def of_whole_maps(x, weight, bias, channels_per_group=2, eps=1e-5):
    return window_by_window(x, weight, bias, channels_per_group, (227, 227), eps)
