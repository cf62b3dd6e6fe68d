"""How fast is an implementation beside a baseline: paired ratios with a confidence interval, and a verdict."""
