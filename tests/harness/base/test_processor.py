from pathlib import Path

import pytest

from harness.base import processor
from harness.base.processor import bfloat16_instructions, processor_name

X86 = "processor\t: 0\nmodel name\t: Some Xeon\nflags\t\t: fpu avx512_bf16 amx_bf16 amx_tile\n"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (X86, ["amx_bf16", "avx512_bf16"]),
        ("model name\t: Old\nflags\t\t: fpu avx2\n", []),
        ("processor\t: 0\nFeatures\t: fp asimd bf16 i8mm\n", ["bf16"]),
        ("processor\t: 0\n", None),
    ],
)
def test_the_processor_says_what_it_has_for_bfloat16(
    text: str, found: list[str] | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    information = tmp_path / "cpuinfo"
    information.write_text(text)
    monkeypatch.setattr(processor, "INFORMATION", information)
    assert bfloat16_instructions() == found


def test_its_name_is_told_or_at_least_its_kind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processor, "INFORMATION", tmp_path / "cpuinfo")
    assert processor_name()
    assert bfloat16_instructions() is None
    (tmp_path / "cpuinfo").write_text(X86)
    assert processor_name() == "Some Xeon"
