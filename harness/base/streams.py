"""Random numbers by name: every draw comes from a stream keyed by (seed, purpose, epoch).

A stream depends on its name alone, never on what was drawn before. So a resumed search sees the draws of
an undisturbed one, every variant of a seed sees the same images in the same order, and a diagnostic cannot
move another stream.
"""

import hashlib

import numpy as np


def _digest(seed: int, purpose: str, epoch: int) -> bytes:
    return hashlib.sha256(f"{seed}/{purpose}/{epoch}".encode()).digest()


def stream(seed: int, purpose: str, epoch: int = 0) -> np.random.Generator:
    """Return the counter-based (Philox) generator of this name, at its start."""
    key = np.frombuffer(_digest(seed, purpose, epoch)[:16], dtype=np.uint64)
    return np.random.Generator(np.random.Philox(key=key))


def torch_seed(seed: int, purpose: str, epoch: int = 0) -> int:
    """Return a 63-bit seed of this name, for draws that only a torch generator can make."""
    return int.from_bytes(_digest(seed, purpose, epoch)[16:24], "little") >> 1
