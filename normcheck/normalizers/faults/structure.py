"""Which normalizers can have a fault: predicates of their structure, never of their name."""

from __future__ import annotations

from normcheck.normalizers.normalizer import Normalizer


def any_of_them(n: Normalizer) -> bool:
    return True


def centered(n: Normalizer) -> bool:
    return n.centered


def averages_or_centered(n: Normalizer) -> bool:
    """A count of members appears in the formula, from which one may be subtracted."""
    return n.mean_square or n.centered


def uncentered(n: Normalizer) -> bool:
    return not n.centered


def divides(n: Normalizer) -> bool:
    """Divides by a scale that is computed from squares."""
    return n.scaled


def divides_activations(n: Normalizer) -> bool:
    return n.scaled and n.acts_on == "activation"


def stateless_activations(n: Normalizer) -> bool:
    return not n.state and n.acts_on == "activation"


def only_centers(n: Normalizer) -> bool:
    return not n.scaled


def standardizes(n: Normalizer) -> bool:
    """Subtracts a mean, and divides by the root of a variance."""
    return n.centered and n.scaled


def weighted(n: Normalizer) -> bool:
    return n.weight


def weighted_activations(n: Normalizer) -> bool:
    return n.weight and n.acts_on == "activation"


def has_both(n: Normalizer) -> bool:
    """Has a weight and a bias."""
    return n.weight and n.bias


def keeps_variance(n: Normalizer) -> bool:
    return n.state and n.scaled


def averages(n: Normalizer) -> bool:
    """Squares are averaged, not summed."""
    return n.mean_square


def activations(n: Normalizer) -> bool:
    return n.acts_on == "activation"


def weights(n: Normalizer) -> bool:
    return n.acts_on == "weight"


def has_eps(n: Normalizer) -> bool:
    return n.eps is not None


def has_bias(n: Normalizer) -> bool:
    return n.bias


def stateful(n: Normalizer) -> bool:
    return n.state


def stateless(n: Normalizer) -> bool:
    return not n.state


def batched(n: Normalizer) -> bool:
    """Cases share a statistic, for which running statistics are used in evaluation."""
    return n.state and "case" in n.sets.members


def trailing(n: Normalizer) -> bool:
    return n.sets.layout == "trailing"


def grouped(n: Normalizer) -> bool:
    """Some of the channels share a statistic."""
    return n.sets.layout == "channels" and "unit" in n.sets.members and "group" not in n.sets.members


def units_share(n: Normalizer) -> bool:
    """Entries with different weights share a statistic."""
    return n.acts_on == "activation" and "unit" in n.sets.members


def cases_apart(n: Normalizer) -> bool:
    """Each training case has its own statistics."""
    return n.acts_on == "activation" and "case" not in n.sets.members


def positions_share(n: Normalizer) -> bool:
    """Positions share a statistic with something else."""
    return "space" in n.sets.members and len(n.sets.members) > 1


def wide_mean(n: Normalizer) -> bool:
    """A mean is subtracted, and for half-precision input it must be kept in a wide format.

    Where nothing is subtracted, rounding the root to half precision is within the bound of every output.
    """
    return n.centered and n.narrow_accuracy[0] == "sound"


def rounded_by_torch(n: Normalizer) -> bool:
    """A mean is subtracted, and torch's own function rounds it on the CPU if the parameters are narrow."""
    return n.centered and n.narrow_accuracy[0] == "half"


def wide_squares(n: Normalizer) -> bool:
    """Squares of half-precision input must be kept in a wide format."""
    return n.narrow_accuracy[0] == "sound"


def eps_in_half(n: Normalizer) -> bool:
    """The eps for half-precision input must be kept in a wide format."""
    return n.eps is not None and n.narrow_accuracy[0] == "sound"


def one_pixel(n: Normalizer) -> bool:
    """A map of one position has ordinary statistics, because it shares them with other channels or cases."""
    return n.sets.layout == "channels" and bool(n.sets.members & {"case", "unit"})
