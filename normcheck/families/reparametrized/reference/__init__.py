"""The closed forms: affine layers in another geometry (`affine`), layers of tanh with a linear part (`perceptron`)."""
