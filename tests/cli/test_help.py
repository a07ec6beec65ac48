"""Test help, version and completion: they are complete and need no slow imports."""

import difflib
import re
import subprocess
import sys
from pathlib import Path

import pytest

from ebm_cli.cli import VERBS, main
from ebm_cli.cli.completion import candidates
from ebm_cli.cli.keys import groups

EBM = [sys.executable, "-m", "ebm_cli"]


LOADED = """
import sys
from ebm_cli.cli import main
for line in {lines!r}:
    main(line)
    print([name for name in {heavy!r} if name in sys.modules], file=sys.stderr)
"""


def loaded(lines: list[list[str]], heavy: list[str]) -> list[str]:
    """Return which of some modules have been imported after each of some command lines, in a process of their own."""
    code = LOADED.format(lines=lines, heavy=heavy)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return [line for line in done.stderr.splitlines() if line.startswith("[")]


def test_help_names_every_group_and_option(capsys):
    assert main(["--help"]) == 0
    out = capsys.readouterr().out
    for group, options in groups().items():
        assert group in out
        assert all(name in out for name in options if name != "custom")


@pytest.mark.parametrize("verb", VERBS)
def test_a_verbs_help_shows_its_keys_examples_and_a_summary_of_every_option(verb, capsys):
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
        ("ebm choices sampler ma", "mala"),
        ("ebm evaluate 'metric=[nll,fre", "metric=[nll,frechet"),
        ("ebm train 'regularizer=[denoising]' regularizer.den", "regularizer.denoising.weight="),
        ("ebm sample device=", "device=cpu"),
        ("ebm train trainer.on_divergence=r", "trainer.on_divergence=rollback"),
        ("ebm train resume=latest tr", "trainer.steps="),
    ],
)
def test_completion_reads_the_whole_line(line, expected):
    assert expected in candidates(line)


def test_completion_offers_the_runs_own_keys_its_checkpoints_and_its_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    line = ["train", "data=gaussians_8", "sampler=underdamped", "regularizer=[gradient_norm]", "name=own"]
    tiny = ["trainer.steps=2", "trainer.batch_size=4", "start.size=8", "objective.steps=1", "energy.width=4"]
    assert main([*line, *tiny]) == 0
    (folder,) = Path("outputs").glob("train/*/*-own")
    assert {f"run={folder}", "run=latest"} == set(candidates("ebm sample run="))
    for run in ("latest", str(folder)):
        assert candidates(f"ebm sample run={run} sampler.fr") == ["sampler.friction="]
        assert candidates(f"ebm sample run={run} sampler=mala sampler.fr") == []
        assert candidates(f"ebm sample run={run} checkpoint=2") == ["checkpoint=2"]
        at = f"ebm train init={run} regularizer.gradient_norm.at"
        assert candidates(at) == ["regularizer.gradient_norm.at="]
        assert candidates(f"{at}=l") == ["regularizer.gradient_norm.at=line"]
    assert loaded([["_complete", f"ebm sample run={folder} sampler."]], ["torch", "hydra", "numpy"]) == ["[]"]


def test_list_members_are_offered_once():
    assert "metric=[nll,nll" not in candidates("ebm evaluate metric=[nll,")
    found = candidates("ebm evaluate metric=[nll,mmd")
    assert {"metric=[nll,mmd", "metric=[nll,mmd]"} <= set(found) and len(found) == len(set(found))
    assert all(word.startswith("metric=[nll,mmd") for word in found)


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


def test_help_completion_and_a_misspelt_option_need_no_slow_imports(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    # Of a second or more: what answers at once does without them.
    quick = [["--help"], ["_complete", "ebm train "], ["sample", "--help"]]
    assert loaded(quick, ["torch", "hydra", "omegaconf", "numpy", "matplotlib"]) == ["[]"] * 3
    assert loaded([["sample", "energy=doubel_well"]], ["torch", "numpy", "matplotlib"]) == ["[]"]


@pytest.mark.parametrize("group", ["", *groups()])
def test_choices_prints_a_line_with_a_summary_for_each_option(group, capsys):
    assert main(["choices", *([group] if group else [])]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert {line.split()[0] for line in lines} == set(groups()[group] if group else groups())
    assert all(re.fullmatch(r"\w+ +\S.+", line) for line in lines)


@pytest.mark.parametrize(
    "line",
    [
        "choices samper",
        "choices sampler mela",
        "help trian",
        "help sampler=mela",
        "smaple energy=double_well",
        "sample enrgy=double_well",
        "sample energy=duoble_well",
        "sample energy=double_well sampler=mela",
        "sample energy=double_well sampler.stepsize=0.1",
        "sample energy=double_well stpes=3",
        "sample energy=double_well start.distribution=unifrom",
        "sample energy=double_well dtype=flaot64",
        "sample energy=double_well adapt=stpe",
    ],
)
def test_a_hint_is_one_line_and_works_when_typed(line, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tiny = ["chains=2", "steps=4", "thin=1", f"burn_in={100 if 'adapt' in line else 0}"]
    tiny = [] if line.split()[0] in ("choices", "help") else tiny
    assert main([*line.split(), *tiny]) == 2
    (error,) = capsys.readouterr().err.splitlines()
    hint = re.findall(r"did you mean '([^']+)'", error)[0]
    words = re.findall(r"[\w.]+", line)
    (wrong,) = difflib.get_close_matches(hint, [word for word in words if word not in hint], n=1)
    assert main([*line.replace(wrong, hint).split(), *[word for word in tiny if word[:5] not in line]]) == 0


@pytest.mark.parametrize(
    ("line", "shown", "hidden"),
    [
        ("help sampler=mala", "  sampler.scales: null  # a list", "sampler.friction"),
        ("help metric=[nll,log_z]", "  metric.log_z.method:", "sampler.friction"),
        ("help sampler", "mala  ", "sampler.friction"),
        ("choices sampler mala", "  sampler.scales: null  # a list", "sampler.friction"),
        ("train sampler=mala --help", "  sampler.scales: null", "sampler.friction"),
        ("train --help sampler=hmc energy=conv", "  sampler.leapfrog_steps:", "sampler.friction"),
        ("train --help sampler=hmc energy=conv", "  energy.width:", "sampler.friction"),
        ("evaluate --help metric=nll", "  metric.nll.baselines:", "sampler.friction"),
        ("evaluate metric=[nll,log_z] --help", "  metric.log_z.method:", "sampler.friction"),
        ("help evaluate metric=mmd", "keys of metric=mmd", "sampler.friction"),
        ("help diagnose diagnostic=ess", "  diagnostic.ess.min_ess_per_chain:", "diagnostic.autocorrelation."),
        ("help train", "  sampler.friction:", "no such thing"),
        ("help train experiment=two_moons", "keys of experiment=two_moons", "sampler.friction"),
        ("train sampler=none --help", "  sampler.friction:", "no such thing"),
    ],
)
def test_help_shows_the_keys_of_chosen_options(line, shown, hidden, capsys):
    assert main(line.split()) == 0
    out = capsys.readouterr().out
    assert shown in out and hidden not in out


def test_help_on_an_unknown_name_is_wrong_input(capsys):
    assert main(["help", "trian"]) == 2
    assert "'train'" in capsys.readouterr().err


def test_names_are_not_interpreted_as_markup_in_the_terminal(capsys):
    from ebm_cli.cli.console import ConsoleTerminal, print_estimates, print_rows
    from ebm_cli.estimate import Estimate

    odd = "[red]x[/red] [/] \\[b] \x1b[31m"
    print_estimates({odd: Estimate(1.0, unit="[u]", verdict="caution", reasons=(odd,))})
    print_rows([odd], [[odd]])
    ConsoleTerminal().say(odd)
    out, err = capsys.readouterr()
    assert out.count("[red]x[/red] [/] \\[b]") == 4 and "[u]" in out and "[red]x[/red]" in err
    assert "\x1b" not in out + err
