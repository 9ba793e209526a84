"""What processor this is, and which instructions it has."""

import platform
from pathlib import Path

INFORMATION = Path("/proc/cpuinfo")
BFLOAT16 = ("amx_bf16", "avx512_bf16", "bf16")
"""Sets of instructions for bfloat16: two of x86, one of ARM."""


def processor_name() -> str:
    """Return the model name of the processor."""
    return _told("model name") or platform.processor() or platform.machine()


def bfloat16_instructions() -> list[str] | None:
    """Return the sets of instructions for bfloat16 that the processor has; None where the system does not tell."""
    flags = _told("flags") or _told("Features")
    return None if flags is None else [name for name in BFLOAT16 if name in flags.split()]


def _told(key: str) -> str | None:
    if INFORMATION.exists():
        for line in INFORMATION.read_text(encoding="utf-8").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == key:
                return value.strip()
    return None
