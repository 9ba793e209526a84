"""What the measurement on real clusters does where there are none; `make clusters` runs it where there are."""

import os
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks import clusters
from harness.base.errors import UserError
from tests.clusters import own_slurm, ray_scenarios
from tests.clusters.scenarios import Counts, Scenario, play


def refused(*arguments: str) -> str:
    result = CliRunner().invoke(clusters.main, arguments)
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1
    return result.stderr


def test_what_is_missing_is_told_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(own_slurm, "SYSTEM_FOLDERS", ())
    monkeypatch.setattr(ray_scenarios, "PACKAGES", {"no_such_module": "no-such-package"})
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    told = refused()
    for part in ("apt-get install slurm-wlm munge", "iproute2", "be root", "pip install no-such-package"):
        assert part in told
    assert "no-such-package" not in refused("--only", "slurm")


@pytest.fixture
def deaf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Daemons that end at once."""
    for command in own_slurm.COMMANDS:
        script = tmp_path / command
        script.write_text("#!/bin/sh\necho cannot resolve this host\nexit 1\n")
        script.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)


def test_the_version_needs_no_configured_cluster(deaf: None, tmp_path: Path) -> None:
    """Debian's sinfo answers nothing without one, after half an hour of measurements."""
    (tmp_path / "slurmctld").write_text('#!/bin/sh\ntest "$1" = -V && echo slurm-wlm 22.05.8\n')
    assert own_slurm.version() == "slurm-wlm 22.05.8"


def test_a_slurm_that_does_not_start_is_told_in_a_sentence(deaf: None) -> None:
    with pytest.raises(UserError, match=r"munged has ended: cannot resolve this host"), own_slurm.own_slurm():
        pass


def test_a_scenario_that_breaks_off_is_counted_as_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks_off() -> Counts:
        raise UserError("the middle of a search did not come")

    said: list[str] = []
    scenarios = [Scenario("a", lambda: Counts(disturbed=1, results=4)), Scenario("b", breaks_off)]
    rows = list(play(scenarios, said.append))
    assert [(row["what"], row["results"], row["wrong"]) for row in rows] == [("a", 4, 0), ("b", 0, 1)]
    assert "b: broke off: the middle of a search did not come" in said
    monkeypatch.setattr(clusters, "missing", lambda parts: [])
    monkeypatch.setattr(clusters, "measure", lambda parts: rows)
    result = CliRunner().invoke(clusters.main, ["--only", "slurm"])
    assert result.exit_code == 1
    assert "results compared" in result.stdout
    monkeypatch.setattr(clusters, "measure", lambda parts: rows[:1])
    assert CliRunner().invoke(clusters.main, ["--only", "slurm"]).exit_code == 0
