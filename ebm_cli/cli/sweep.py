"""`-m`: one job a combination of values, each in its own folder, ending in a table and a picture."""

import itertools
import sys
from contextlib import chdir
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ebm_cli.assembly.permission import Permission, admit, permitted
from ebm_cli.check import InputError
from ebm_cli.cli import compose
from ebm_cli.cli.job import Job, locked, perform, wrong_input
from ebm_cli.cli.launch import permission_of, prepare
from ebm_cli.cli.precheck import Precheck
from ebm_cli.cli.sweep_progress import JobTerminal
from ebm_cli.run import signed_yaml as stored
from ebm_cli.run.folder import Run
from ebm_cli.run.new_folder import new_folder
from ebm_cli.run.writing import write_text

if TYPE_CHECKING:
    from ebm_cli.report.sweep_members import Sweep

OWN_KEYS = ("out", "name")
MAX_JOBS = 10_000


@dataclass(frozen=True)
class Plan:
    """A sweep's command lines, a job each.

    keys: those that vary. cwd: the folder that relative paths start from. permission: what may be imported where nobody
    of this account typed the lines, None where the lines themselves permit it. folder: None before it is made.
    """

    verb: str
    keys: list[str]
    jobs: list[list[str]]
    cwd: Path
    permission: Permission | None = None
    folder: Path | None = None


def sweep(verb: str, overrides: list[Any], resumed: Path | None) -> int:
    """Run every combination of the values that `overrides` list, or what is left of an earlier sweep's.

    All jobs are composed, and their numbers checked, before the first runs. A job that fails is a line at once and a
    row with its reason; others go on. Exit code 0 when all are done, 1 when any failed, 130 or 143 after a signal.
    """
    plan = reopen(verb, overrides, resumed) if resumed else planned(verb, overrides)
    with chdir(plan.cwd):
        jobs = composed(plan)
        folder = plan.folder or begin(plan, overrides)
        try:
            with locked(Run(folder), f"resume={folder}"):
                codes = run_all(folder, jobs, plan)
                finish(folder, plan)
        except OSError as error:
            reason = f"{error.strerror or error}: {error.filename or folder}"
            sys.stderr.write(f"failed: {reason}; ebm {verb} resume={folder} goes on\n")
            return 1
    sys.stdout.write(f"{folder}\n")
    signals = [code for code in codes if code > 2]
    return signals[0] if signals else int(any(codes))


def composed(plan: Plan) -> list[Job]:
    """The jobs of all lines; InputError with everything that is wrong in any that has not begun."""
    jobs: list[Job] = []
    wrong: list[str] = []
    place = f"resume={plan.folder}"
    precheck = Precheck()
    for number, line in enumerate(plan.jobs):
        try:
            jobs.append(prepare(plan.verb, compose.parse(line), plan.permission, place))
            if plan.folder is None or not (plan.folder / str(number)).exists():
                precheck.whole(jobs[-1])
        except InputError as error:
            wrong += error.messages
    if wrong:
        raise InputError(*dict.fromkeys(wrong))
    return jobs


def finish(folder: Path, plan: Plan) -> None:
    """Write sweep.csv, sweep.png and report.html, and print the table."""
    from ebm_cli.cli.console import print_rows
    from ebm_cli.report.sweep_page import write_sweep_report
    from ebm_cli.report.sweep_table import notes, terminal_table

    found = table(folder, plan)
    write_sweep_report(folder, found, draw(folder, found))
    print_rows(*terminal_table(found), notes(found))


def planned(verb: str, overrides: list[Any]) -> Plan:
    """The command lines of a new sweep, and the keys that vary."""
    if any(o.key_or_group == "out" and o.is_sweep_override() for o in overrides):
        raise InputError("out cannot be swept: it is the sweep's own folder")
    inner = [o for o in overrides if o.key_or_group not in OWN_KEYS]
    lines = [[compose.text(o) for o in job] for job in compose.sweep_jobs(inner, MAX_JOBS)]
    if verb != "diagnose":
        lines = [pinned(line, verb) for line in lines]
    return Plan(verb, compose.swept(inner), [seeded(line, number) for number, line in enumerate(lines)], Path.cwd())


def seeded(line: list[str], number: int) -> list[str]:
    """The line with a seed of its own, the job's number, unless it has one."""
    return line if "seed" in values_of(line) else [*line, f"seed={number}"]


def pinned(line: list[str], verb: str) -> list[str]:
    """The line with run=latest replaced by what that is now: a sweep's own members must not become it."""
    from ebm_cli.cli import runs

    done = []
    for word in line:
        key, _, value = word.partition("=")
        value = compose.unquoted(value)
        if key in ("run", "init") and value.startswith("latest"):
            word = f"{key}={compose.path_text(runs.place(runs.find(value, verb, key)))}"
        elif key == "energy.runs" and isinstance(names := compose.parse([word])[0].value(), list):
            folders = [compose.path_text(runs.place(runs.find(str(name), verb, key))) for name in names]
            word = f"{key}=[{','.join(folders)}]"
        done.append(word)
    return done


def begin(plan: Plan, overrides: list[Any]) -> Path:
    """Make the sweep's folder and write its plan, signed."""
    given = {o.key_or_group: str(o.value()) for o in overrides if o.key_or_group in OWN_KEYS}
    folder = new_folder(plan.verb, given.get("name", "sweep"), given.get("out"))
    values = {"verb": plan.verb, "keys": plan.keys, "jobs": plan.jobs, "cwd": str(plan.cwd)}
    write_text(folder / "sweep.yaml", stored.dump(values))
    return folder


def reopen(verb: str, overrides: list[Any], folder: Path) -> Plan:
    """The plan of an earlier sweep, which goes on in the folder where it was made.

    Raises InputError where that folder is another's or is gone: its relative paths would name other files here.
    """
    extra = [o.key_or_group for o in overrides if o.key_or_group not in ("resume", "trust")]
    if [key for key in extra if key.rpartition(".")[2] != "_target_"]:
        raise InputError(f"resume={folder} finishes a sweep as it was planned: it takes no other key")
    folder = folder.absolute()
    path = folder / "sweep.yaml"
    try:
        text = stored.read_text(path)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None
    plan = stored.load(text, path)
    hold_plan(plan, path)
    if plan["verb"] != verb:
        raise InputError(f"resume={folder} is a sweep of ebm {plan['verb']}, not of ebm {verb}")
    permission = permission_of(verb, overrides)
    cwd = Path(plan.get("cwd", Path.cwd()))
    if stored.is_signed(text):
        permission = None
    elif not permission.trust:
        if found := stored.interpolations(plan):
            raise InputError(
                f"{path} is not of this account, and its {found[0]} hold an interpolation: type trust=true"
            )
        if not _same_folder(cwd, Path.cwd()):
            raise InputError(
                f"resume={folder} was planned in {cwd}, where its relative paths start, and not on this account: "
                "go there first, or type trust=true"
            )
    if not cwd.is_dir():
        raise InputError(f"resume={folder} was planned in {cwd}, where its relative paths start, and that is gone")
    return Plan(verb, plan["keys"], plan["jobs"], cwd, permission, folder)


def hold_plan(plan: dict[str, Any], path: Path) -> None:
    """Raise InputError unless the content of sweep.yaml is a plan."""

    def are_texts(value: Any) -> bool:
        return isinstance(value, list) and all(isinstance(item, str) for item in value)

    jobs = plan.get("jobs")
    sound = {
        "verb": isinstance(plan.get("verb"), str),
        "keys": are_texts(plan.get("keys")),
        "jobs": isinstance(jobs, list) and all(are_texts(job) and all("=" in word for word in job) for job in jobs),
        "cwd": isinstance(plan.get("cwd", ""), str),
    }
    for key, is_sound in sound.items():
        if not is_sound:
            raise InputError(f"{path} is damaged: its {key} {'is missing' if key not in plan else 'cannot be read'}")


def _same_folder(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except (OSError, ValueError):
        return False


def run_all(folder: Path, jobs: list[Job], plan: Plan) -> list[int]:
    """Run the jobs that are not done yet, one after the other; sweep.csv is up to date after each."""
    from ebm_cli.cli.console import Live

    terminal, codes = Live(), []
    left = [number for number in range(len(jobs)) if not Run(folder / str(number)).is_finished()]
    with terminal.task("sweep", len(jobs), begin=len(jobs) - len(left)) as tick:
        for done, number in enumerate(left, len(jobs) - len(left)):
            terminal.say(f"job {number} of {len(jobs)}: {label(plan.jobs[number], plan.keys)}")
            try:
                code = run_one(jobs[number], folder / str(number), JobTerminal(terminal, tick, done))
            except InputError as error:
                code = wrong_input(error)
            tick(done + 1)
            codes.append(code)
            table(folder, plan)
            if code > 2:
                break
            if code:
                terminal.say(f"job {number} of {len(jobs)} failed; the others go on")
    return codes


def run_one(job: Job, place: Path, terminal: JobTerminal) -> int:
    """One job in its own numbered folder; a training run that was stopped goes on from its checkpoint."""
    if place.exists():
        # A folder that another ebm works in is neither renamed nor used.
        with locked(Run(place)):
            if (place / "checkpoints" / "last").exists():
                with permitted(job.permission):
                    config = Run(place).whole_config()
                    permission = admit(Run(place), config)
                job = Job("train", config, folder=place, permission=permission)
            else:
                place.rename(_free(place))
    if not place.exists():
        place.mkdir()
        job = replace(job, folder=place)
    return perform(job, terminal)[2]


def _free(place: Path) -> Path:
    """A name next to `place` for what an earlier try left."""
    numbers = itertools.count(1)
    return next(aside for n in numbers if not (aside := place.with_name(f"{place.name}-failed-{n}")).exists())


def label(line: list[str], keys: list[str]) -> str:
    """The words of a job's line that vary."""
    values = values_of(line)
    return " ".join(f"{key}={values[key]}" for key in keys if key in values)


def values_of(line: list[str]) -> dict[str, str]:
    """Key and value of a job's words, as text."""
    pairs = (word.lstrip("+~").partition("=") for word in line)
    return {key: compose.unquoted(value) for key, _, value in pairs}


def table(folder: Path, plan: Plan) -> "Sweep":
    """Write sweep.csv as far as jobs have come; returns what it was made of."""
    from ebm_cli.report.sweep_members import read_sweep
    from ebm_cli.report.sweep_table import as_csv

    found = read_sweep(plan.verb, plan.keys, folder, [values_of(line) for line in plan.jobs])
    write_text(folder / "sweep.csv", as_csv(found))
    return found


def draw(folder: Path, found: "Sweep") -> str:
    """sweep.png. Returns the sentence that belongs under it, empty if there is nothing to draw."""
    from ebm_cli.report.sweep_figure import sweep_figure

    drawn = sweep_figure(found)
    if drawn is None:
        return ""
    picture, caption = drawn
    picture.savefig(folder / "sweep.png", dpi=150)
    return caption
