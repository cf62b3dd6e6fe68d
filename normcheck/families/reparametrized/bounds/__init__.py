"""What correct layers may be off by: `affine`, `perceptron`, and both beside the right answer to a case (`truth`)."""
