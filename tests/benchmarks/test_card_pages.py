"""What is measured on a card, at a tiny size on the processor; nothing is compiled here, which takes minutes."""

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks import card_checks, card_steps
from tests.benchmarks.pages import quick_page


@pytest.fixture
def nothing_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    checks = card_checks.checks
    monkeypatch.setattr(
        card_checks,
        "checks",
        lambda *given: {name: one for name, one in checks(*given).items() if "compiled" not in name},
    )
    monkeypatch.setattr(card_steps, "LAUNCHES", {"operator by operator": {}})


@pytest.mark.usefixtures("nothing_compiled")
def test_the_checks_pass_on_the_processor(tmp_path: Path) -> None:
    page, table = quick_page(card_checks.main, tmp_path, "--device", "cpu")
    assert set(table["outcome"]) == {"passed"}
    assert (table["figure"] <= table["at most"]).all()
    assert "resumed from its state" in page


@pytest.mark.usefixtures("nothing_compiled")
def test_every_precision_is_timed(tmp_path: Path) -> None:
    _, table = quick_page(card_steps.main, tmp_path, "--device", "cpu")
    assert list(table["precision"]) == ["float32", "float32", "tf32", "bfloat16"]
    assert (table["step, ms"] > 0).all()


@pytest.mark.usefixtures("nothing_compiled")
@pytest.mark.parametrize("wrong", [lambda *given: 1.0, lambda *given: 1 / 0])
def test_a_check_that_fails_or_breaks_off_is_a_line_and_the_status(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrong: Callable[..., float]
) -> None:
    monkeypatch.setattr(card_checks, "resumed", wrong)
    options = ["--quick", "--device", "cpu", "--output", str(tmp_path / "page.md")]
    result = CliRunner().invoke(card_checks.main, options)
    assert result.exit_code == 1
    lines = [line for line in (tmp_path / "page.md").read_text().splitlines() if line.startswith("| resumed")]
    assert "failed" in lines[0] or "broke off: ZeroDivisionError" in lines[0]


@pytest.mark.parametrize("main", [card_checks.main, card_steps.main])
def test_without_a_card_it_says_so(main: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    result = CliRunner().invoke(main, ["--quick"])
    assert result.exit_code == 1
    assert result.output.startswith("Error: torch finds no CUDA device here")
