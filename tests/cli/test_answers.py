"""Help, version and completion: complete, and quick enough to be felt as instant."""

import os
import re
import resource
import subprocess
import sys

import pytest

from ebm_cli.cli import VERBS, main
from ebm_cli.cli.answers import groups
from ebm_cli.cli.completion import candidates

EBM = [sys.executable, "-m", "ebm_cli"]


def cpu_seconds(words: list[str]) -> float:
    """CPU time of the quickest of three runs."""
    times = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([*EBM, *words], capture_output=True, env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"})
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        times.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return min(times)


def test_help_names_every_group_and_option(capsys):
    assert main(["--help"]) == 0
    out = capsys.readouterr().out
    for group, options in groups().items():
        assert group in out
        assert all(name in out for name in options if name != "custom")


@pytest.mark.parametrize("verb", VERBS)
def test_a_verbs_help_shows_its_keys_examples_and_what_every_option_is(verb, capsys):
    assert main([verb, "--help"]) == 0
    out = capsys.readouterr().out
    assert out.count(f"  ebm {verb}") >= 3
    assert not re.findall(r"^  \w+ {10,}$", out, flags=re.MULTILINE)


def test_version(capsys):
    assert main(["--version"]) == 0
    assert re.fullmatch(r"ebm \d+\.\d+\.\d+\n", capsys.readouterr().out)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("ebm tr", "train"),
        ("ebm train exp", "experiment="),
        ("ebm train experiment=dig", "experiment=digits"),
        ("ebm sample sampler=sgh", "sampler=sghmc"),
        ("ebm sample sampler=sghmc sampler.fr", "sampler.friction="),
        ("ebm train trainer.st", "trainer.steps="),
        ("ebm sample run=", "run=latest"),
        ("ebm completion z", "zsh"),
    ],
)
def test_completion_reads_the_whole_line(line, expected):
    assert expected in candidates(line, VERBS)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_shell_gets_a_script(shell, capsys):
    assert main(["completion", shell]) == 0
    assert "ebm _complete" in capsys.readouterr().out


def test_bash_completes_after_the_equals_sign():
    script = subprocess.run([*EBM, "completion", "bash"], capture_output=True, text=True).stdout
    driver = f"""{script}
ebm() {{ "{sys.executable}" -m ebm_cli "$@"; }}
COMP_LINE="ebm sample sampler=sgh"; COMP_POINT=${{#COMP_LINE}}
COMP_WORDS=(ebm sample sampler = sgh); COMP_CWORD=4; _ebm 2>/dev/null; echo "${{COMPREPLY[@]}}"
"""
    assert subprocess.run(["bash", "-c", driver], capture_output=True, text=True).stdout.strip() == "sghmc"


def test_help_and_completion_take_under_a_third_of_a_second():
    assert cpu_seconds(["--help"]) < 0.3
    assert cpu_seconds(["_complete", "ebm train "]) < 0.3


def test_a_misspelt_option_is_told_in_under_seven_tenths_of_a_second():
    assert cpu_seconds(["sample", "energy=doubel_well"]) < 0.7


@pytest.mark.parametrize(
    ("line", "shown", "hidden"),
    [
        ("train sampler=mala --help", "  sampler.scales: null", "sampler.friction"),
        ("train --help sampler=hmc energy=conv", "  sampler.leapfrog_steps:", "sampler.friction"),
        ("train --help sampler=hmc energy=conv", "  energy.width:", "sampler.friction"),
        ("evaluate --help metric=nll", "  metric.nll.baselines:", "sampler.friction"),
        ("evaluate metric=[nll,log_z] --help", "  metric.log_z.method:", "sampler.friction"),
        ("help evaluate metric=mmd", "keys of metric=mmd", "sampler.friction"),
        ("help diagnose diagnostic=ess", "  diagnostic.ess.least:", "diagnostic.autocorrelation."),
        ("help train", "  sampler.friction:", "no such thing"),
        ("help train experiment=two_moons", "keys of experiment=two_moons", "sampler.friction"),
        ("train sampler=none --help", "  sampler.friction:", "no such thing"),
    ],
)
def test_help_shows_the_keys_of_what_is_chosen(line, shown, hidden, capsys):
    assert main(line.split()) == 0
    out = capsys.readouterr().out
    assert shown in out and hidden not in out


def test_help_on_nothing_known_is_wrong_input(capsys):
    assert main(["help", "trian"]) == 2
    assert "'train'" in capsys.readouterr().err


def test_names_are_no_markup_in_the_terminal(capsys):
    from ebm_cli.cli.live import Live, print_estimates, print_rows
    from ebm_cli.estimate import Estimate

    odd = "[red]x[/red] [/] \\[b] \x1b[31m"
    print_estimates({odd: Estimate(1.0, unit="[u]", verdict="caution", reason=odd)})
    print_rows([odd], [[odd]])
    Live().say(odd)
    out, err = capsys.readouterr()
    assert out.count("[red]x[/red] [/] \\[b]") == 4 and "[u]" in out and "[red]x[/red]" in err
    assert "\x1b" not in out + err
