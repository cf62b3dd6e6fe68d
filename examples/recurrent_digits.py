"""Digits read row by row by three LSTMs, side by side: plain, layer-normalized, batch-normalized.

    pip install 'normcheck[examples]'
    python examples/recurrent_digits.py        prints the tables, writes recurrent_digits.png beside this file

The digits of scikit-learn are 8x8: eight steps of eight pixels. Each net has 32 units and one linear layer on its last
state; the nets differ only in their norms. The second plot shows the effect of the gain on a batch-normalized tanh net
of 50 steps: the mean slope of its tanh, and how much of a gradient is kept (Cooijmans and others 2016, section 4).
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from torch import nn

from normcheck.implementations.recurrent import BNLSTM, BNRNN, LNLSTM

NETS = ("LSTM", "LN-LSTM", "BN-LSTM")
UNITS, BATCH, RATE = 32, 64, 3e-3
GAINS = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0)

Pair = tuple[torch.Tensor, torch.Tensor]


class Classifier(nn.Module):
    """A recurrent net with a linear layer on its last output."""

    def __init__(self, net: str, inputs: int, steps: int, classes: int) -> None:
        super().__init__()
        nets = {
            "LSTM": lambda: nn.LSTM(inputs, UNITS),
            "LN-LSTM": lambda: LNLSTM(inputs, UNITS),
            "BN-LSTM": lambda: BNLSTM(inputs, UNITS, max_length=steps, initial_noise=0.1),
        }
        self.net = nets[net]()
        self.out = nn.Linear(UNITS, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Scores, (cases, classes), of x, (steps, cases, inputs)."""
        scores: torch.Tensor = self.out(self.net(x)[0][-1])
        return scores


def train_epochs(net: str, train: Pair, test: Pair, epochs: int, seed: int) -> Iterator[tuple[float, float]]:
    """Train a net; loss and accuracy on the test set after each epoch. The seed determines everything random."""
    torch.manual_seed(seed)
    x, labels = train
    model = Classifier(net, x.shape[2], x.shape[0], int(labels.max()) + 1)
    optimizer = torch.optim.Adam(model.parameters(), RATE)
    for _ in range(epochs):
        model.train()
        for chosen in torch.randperm(len(labels)).split(BATCH):
            if len(chosen) == BATCH:  # statistics of a small batch are inaccurate
                optimizer.zero_grad()
                nn.functional.cross_entropy(model(x[:, chosen]), labels[chosen]).backward()
                optimizer.step()
        model.eval()
        with torch.no_grad():
            scores = model(test[0])
            loss = nn.functional.cross_entropy(scores, test[1])
        yield float(loss), float((scores.argmax(1) == test[1]).float().mean())


def gradient_kept(gain: float, seed: int, steps: int = 50) -> tuple[float, float]:
    """The mean of tanh' in a BN-RNN with this gain, and the mean factor by which a gradient changes over one step.

    The state before the first step is normal, and all inputs are zero, so that only the state is normalized.
    """
    torch.manual_seed(seed)
    net = BNRNN(UNITS, UNITS, max_length=steps, eps=1e-12).double()
    with torch.no_grad():
        net.norm_hh.weight.fill_(gain)
        net.norm_ih.weight.zero_()
    x = torch.zeros(steps, 256, UNITS, dtype=torch.float64)
    first = torch.randn(1, 256, UNITS, dtype=torch.float64)
    first = torch.tanh(gain * first).requires_grad_()  # of the size that states of such a net have
    y, _ = net(x, first)
    at_the_end = torch.randn_like(first[0])
    at_the_start = torch.autograd.grad((y[-1] * at_the_end).sum(), first)[0]
    factor = float(at_the_start.norm() / at_the_end.norm()) ** (1 / steps)
    return float((1 - y.detach().square()).mean()), factor


def digits() -> tuple[Pair, Pair]:
    """Training set and test set: x (8, cases, 8), labels (cases,)."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    data = load_digits()
    rows = torch.tensor(data.images / 16.0, dtype=torch.float32).transpose(0, 1)
    train, test = train_test_split(range(len(data.target)), test_size=0.2, random_state=0, stratify=data.target)
    labels = torch.tensor(data.target)
    return (rows[:, train], labels[train]), (rows[:, test], labels[test])


def table(epochs: int, seeds: int) -> dict[str, list[list[float]]]:
    """Accuracy after each epoch, by net and seed; each net's results are printed when they are ready."""
    train, test = digits()
    out: dict[str, list[list[float]]] = {}
    for net in NETS:
        runs = [list(train_epochs(net, train, test, epochs, seed)) for seed in range(seeds)]
        out[net] = [[accuracy for _, accuracy in run] for run in runs]
        shown = "  ".join(f"{min(c):.3f} .. {max(c):.3f}" for c in (_at(out[net], epoch) for epoch in (5, 10, epochs)))
        print(f"{net:8} {shown}")
    return out


def _at(runs: list[list[float]], epoch: int) -> list[float]:
    return [run[min(epoch, len(run)) - 1] for run in runs]


def plot(accuracies: dict[str, list[list[float]]], slopes: list[tuple[float, float]], path: Path) -> None:
    """Draw two panels: accuracy over epochs, slope and gradient over gain."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, (left_panel, right_panel) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    for net, runs in accuracies.items():
        epochs = range(1, len(runs[0]) + 1)
        (line,) = left_panel.plot(epochs, [sum(some) / len(some) for some in zip(*runs, strict=True)], label=net)
        left_panel.fill_between(epochs, *zip(*((min(s), max(s)) for s in zip(*runs, strict=True)), strict=True),
                                color=line.get_color(), alpha=0.2)  # fmt: skip
    left_panel.set(xlabel="epoch", ylabel="accuracy on the test set", title="digits, row by row", ylim=(0.5, 1.0))
    right_panel.plot(GAINS, [slope for slope, _ in slopes], "o-", label="mean slope of tanh")
    right_panel.plot(GAINS, [factor for _, factor in slopes], "s-", label="gradient left, per step")
    right_panel.axhline(1.0, color="gray", linewidth=0.5)
    right_panel.set(xlabel="gain of the norm of W h", xscale="log", title="BN-RNN, 50 steps, no input after the first")
    for panel in (left_panel, right_panel):
        panel.legend()
    figure.savefig(path, dpi=110)


def main(arguments: Sequence[str] | None = None) -> None:
    """Train, measure, print and plot."""
    parser = argparse.ArgumentParser(description="three LSTMs on digits, side by side")
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--seeds", type=int, default=3, help="runs of each net, seeds 0, 1, ...")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".png"))
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    last = options.seeds - 1
    print(f"accuracy on 360 digits after 5, 10, {options.epochs} epochs, least and most of seeds 0 to {last}")
    accuracies = table(options.epochs, options.seeds)
    print("gain      mean tanh'  gradient left, a factor for each step")
    slopes = [gradient_kept(gain, seed=0) for gain in GAINS]
    for gain, (slope, factor) in zip(GAINS, slopes, strict=True):
        print(f"{gain:<9} {slope:.3f}       {factor:.3f}")
    plot(accuracies, slopes, options.out)
    print(f"written: {options.out.name}")


if __name__ == "__main__":
    main()
