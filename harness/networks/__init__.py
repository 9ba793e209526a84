"""The supernet and the discrete network: fused, compiled, recorded as CUDA graphs."""
