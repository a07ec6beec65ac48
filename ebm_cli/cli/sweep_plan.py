"""The command lines of a sweep, one per job, and their file sweep.yaml."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ebm_cli.assembly.permission import Permission
from ebm_cli.check import InputError
from ebm_cli.cli.typed import permission_of
from ebm_cli.cli.words import parse, path_text, sweep_jobs, swept, text, unquoted
from ebm_cli.run import signed_yaml as stored
from ebm_cli.run.new_folder import new_folder
from ebm_cli.run.writing import write_text

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


def planned(verb: str, overrides: list[Any]) -> Plan:
    """The command lines of a new sweep, and the keys that vary."""
    if any(o.key_or_group == "out" and o.is_sweep_override() for o in overrides):
        raise InputError("out cannot be swept: it is the sweep's own folder")
    inner = [o for o in overrides if o.key_or_group not in OWN_KEYS]
    lines = [[text(o) for o in job] for job in sweep_jobs(inner, MAX_JOBS)]
    if verb != "diagnose":
        lines = [pinned(line, verb) for line in lines]
    return Plan(verb, swept(inner), [seeded(line, number) for number, line in enumerate(lines)], Path.cwd())


def seeded(line: list[str], number: int) -> list[str]:
    """The line with a seed of its own, the job's number, unless it has one."""
    return line if "seed" in values_of(line) else [*line, f"seed={number}"]


def pinned(line: list[str], verb: str) -> list[str]:
    """The line with run=latest replaced by what that is now: a sweep's own members must not become it."""
    from ebm_cli.cli import runs

    done = []
    for word in line:
        key, _, value = word.partition("=")
        value = unquoted(value)
        if key in ("run", "init") and value.startswith("latest"):
            word = f"{key}={path_text(runs.place(runs.find(value, verb, key)))}"
        elif key == "energy.runs" and isinstance(names := parse([word])[0].value(), list):
            folders = [path_text(runs.place(runs.find(str(name), verb, key))) for name in names]
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


def label(line: list[str], keys: list[str]) -> str:
    """The words of a job's line that vary."""
    values = values_of(line)
    return " ".join(f"{key}={values[key]}" for key in keys if key in values)


def values_of(line: list[str]) -> dict[str, str]:
    """Key and value of a job's words, as text."""
    pairs = (word.lstrip("+~").partition("=") for word in line)
    return {key: unquoted(value) for key, _, value in pairs}
