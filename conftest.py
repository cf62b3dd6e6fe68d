"""In this checkout, `pytest properties` checks every normalizer that torch ships and those bundled here."""

from __future__ import annotations

import normcheck

TORCH = """
batch_norm=torch.nn.functional:batch_norm
batch_norm=torch.nn:BatchNorm1d
batch_norm=torch.nn:BatchNorm2d
batch_norm=torch.nn:BatchNorm3d
weight_norm=torch:_weight_norm
weight_norm=torch.nn.utils.parametrizations:weight_norm
layer_norm=torch.nn.functional:layer_norm
layer_norm=torch.nn:LayerNorm
rms_norm=torch.nn.functional:rms_norm
rms_norm=torch.nn:RMSNorm
partial_rms_norm=normcheck.implementations.partial_rms_norm:partial_rms_norm
mean_only_batch_norm=normcheck.implementations.mean_only_batch_norm:mean_only_batch_norm
mean_only_batch_norm=normcheck.implementations.mean_only_batch_norm:MeanOnlyBatchNorm
group_norm=torch.nn.functional:group_norm
group_norm=torch.nn:GroupNorm
instance_norm=torch.nn.functional:instance_norm
instance_norm=torch.nn:InstanceNorm1d
instance_norm=torch.nn:InstanceNorm2d
instance_norm=torch.nn:InstanceNorm3d
recurrent_batch_norm=normcheck.implementations.recurrent:BNLSTM
recurrent_batch_norm_rnn=normcheck.implementations.recurrent:BNRNN
recurrent_layer_norm=normcheck.implementations.recurrent:LNLSTM
recurrent_layer_norm_rnn=normcheck.implementations.recurrent:LNRNN
recurrent_layer_norm_gru=normcheck.implementations.recurrent:LNGRU
batch_norm_rnn=normcheck.implementations.recurrent:FrameBatchNormRNN
sequence_batch_norm_rnn=normcheck.implementations.recurrent:SequenceBatchNormRNN
zca_whitening=normcheck.implementations.whitening:zca_whitening
zca_whitening=normcheck.implementations.whitening:ZCAWhitening
cholesky_whitening=normcheck.implementations.whitening:cholesky_whitening
cholesky_whitening=normcheck.implementations.whitening:CholeskyWhitening
iter_norm=normcheck.implementations.whitening:iter_norm
iter_norm=normcheck.implementations.whitening:IterNorm
mean_normalized_sgd=normcheck.implementations.refreshed:MeanNormalizedLinear
linear_transformations=normcheck.implementations.refreshed:LinearTransformations
natural_gradient_sgd=normcheck.implementations.refreshed:NaturalGradientLinear
natural_neural_network=normcheck.implementations.refreshed:NaturalLinear
path_sgd=normcheck.implementations.path_sgd:PathSGD
sync_batch_norm=normcheck.implementations.synchronized:sync_batch_norm
sync_batch_norm=normcheck.implementations.synchronized:SyncBatchNorm
tensor_parallel_rms_norm=normcheck.implementations.parallel:tensor_parallel_rms_norm
tensor_parallel_layer_norm=normcheck.implementations.parallel:tensor_parallel_layer_norm
sequence_parallel_rms_norm=normcheck.implementations.parallel:sequence_parallel_rms_norm
sequence_parallel_layer_norm=normcheck.implementations.parallel:sequence_parallel_layer_norm
"""


def pytest_normcheck_implementations() -> list[normcheck.Implementation]:
    """What this project checks by default."""
    return [normcheck.Implementation(*line.split("=")) for line in TORCH.split()]
