"""Run the metrics or diagnostics of a verb, draw their pictures and write their files."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ebm_cli import figure
from ebm_cli.assembly.build import Config, make
from ebm_cli.check import InputError, Problems
from ebm_cli.estimate import Estimate, Result, apply_mixing_verdict
from ebm_cli.run.folder import Run
from ebm_cli.run.terminal import Stopped, Terminal
from ebm_cli.run.writing import write_text


def build_list(config: Config, group: str) -> dict[str, Any]:
    """Return the members of a list group. Raises InputError with everything that is wrong."""
    chosen = config.get(group) or {}
    if not chosen:
        raise InputError(f"{group} must name at least one option: '{group}=[NAME,…]'")
    built, problems = {}, Problems()
    for name, node in chosen.items():
        with problems.under(f"{group}.{name}"):
            built[name] = make(node)
    problems.finish()
    return built


def run_actions(
    run: Run,
    actions: dict[str, Callable[[], Result]],
    role: str,
    terminal: Terminal,
    strict: bool,
    of_chains: dict[str, Estimate],
) -> dict[str, Estimate]:
    """Run every metric or diagnostic, save pictures and files, and return all rows under the verdict on the chains.

    Raises Stopped after a signal; the results until then are written.

    of_chains: the rows on the chains, with the verdict `mixing` if they were judged.
    strict: True to raise InputError for an action that does not apply, because the user named it. Otherwise it is left
        out with a message.
    """
    done, wrong = results(actions, role, terminal)
    if wrong and (strict or not done):
        raise InputError(*wrong)
    for message in wrong:
        terminal.say(f"left out: {message}")
    estimates = dict(of_chains)
    for name, result in done.items():
        estimates |= result.estimates
        save(run, name, result, terminal)
    estimates = apply_mixing_verdict(estimates)
    if terminal.stopping():
        run.write_metrics(estimates)
        raise Stopped(f"stopped; {', '.join(estimates) or 'nothing'} of {', '.join(actions)} is in {run.folder}")
    return estimates


def results(
    actions: dict[str, Callable[[], Result]], role: str, terminal: Terminal
) -> tuple[dict[str, Result], list[str]]:
    """Return the result of each action until a signal, and the reasons why actions do not apply."""
    done: dict[str, Result] = {}
    wrong: list[str] = []
    with terminal.task(role, len(actions)) as tick:
        for count, (name, action) in enumerate(actions.items(), 1):
            try:
                done[name] = action()
            except InputError as error:
                wrong += [f"{role} {name} {message}" for message in error.messages]
            except Stopped:
                break
            if terminal.stopping():
                break
            tick(count)
    return done, wrong


def save(run: Run, name: str, result: Result, terminal: Terminal) -> None:
    """Save the picture and the files of a result, and print its notes."""
    picture = result.draw()
    if picture is not None:
        figure.save(run, {name: picture})
    for file, columns in result.tables.items():
        write_table(run.folder / file, columns)
    for note in result.notes:
        terminal.say(note)


def write_table(path: Path, columns: Any) -> None:
    """Write these columns as CSV, with all digits of the numbers."""
    import pandas

    write_text(path, pandas.DataFrame(columns).to_csv(index=False))
