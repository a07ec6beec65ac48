"""Plan the command lines of a sweep, one per job, and store them in sweep.yaml."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ebm_cli.assembly.permission import Permission
from ebm_cli.check import InputError
from ebm_cli.cli.line_values import permission_of
from ebm_cli.cli.words import parse, path_text, sweep_jobs, text, unquote
from ebm_cli.run import signed_yaml as stored
from ebm_cli.run.new_folder import new_folder
from ebm_cli.run.writing import write_text

SWEEP_KEYS = ("out", "name")
MAX_JOBS = 10_000


@dataclass(frozen=True)
class Plan:
    """The command lines of a sweep.

    keys: the keys that vary.
    jobs: one line per job.
    cwd: the folder that relative paths start from.
    permission: what lines of another account may import; None for lines of this account, as they permit what they name.
    folder: the sweep's folder; None before it exists.
    """

    verb: str
    keys: list[str]
    jobs: list[list[str]]
    cwd: Path
    permission: Permission | None = None
    folder: Path | None = None


def new_plan(verb: str, overrides: list[Any]) -> Plan:
    """Return the command lines of a new sweep, and the keys that vary."""
    if any(o.key_or_group == "out" and o.is_sweep_override() for o in overrides):
        raise InputError("out cannot be swept: it is the sweep's own folder")
    inner = [o for o in overrides if o.key_or_group not in SWEEP_KEYS]
    lines = [[text(o) for o in job] for job in sweep_jobs(inner, MAX_JOBS)]
    keys = [o.key_or_group for o in inner if o.is_sweep_override()]
    if verb != "diagnose":
        lines = [with_fixed_runs(line, verb) for line in lines]
    return Plan(verb, keys, [with_seed(line, number) for number, line in enumerate(lines)], Path.cwd())


def with_seed(line: list[str], number: int) -> list[str]:
    """Return the line with the job's number as its seed, unless it has a seed."""
    return line if "seed" in line_values(line) else [*line, f"seed={number}"]


def with_fixed_runs(line: list[str], verb: str) -> list[str]:
    """Return the line with `latest` replaced by the run that it names now, because the sweep makes newer runs."""
    from ebm_cli.cli import runs

    fixed = []
    for word in line:
        key, _, value = word.partition("=")
        value = unquote(value)
        if key in ("run", "init") and value.startswith("latest"):
            word = f"{key}={path_text(runs.path_of(runs.find(value, verb, key)))}"
        elif key == "energy.runs" and isinstance(names := parse([word])[0].value(), list):
            folders = [path_text(runs.path_of(runs.find(str(name), verb, key))) for name in names]
            word = f"{key}=[{','.join(folders)}]"
        fixed.append(word)
    return fixed


def create_sweep(plan: Plan, overrides: list[Any]) -> Path:
    """Make the sweep's folder, write its signed plan, and return the folder."""
    given = {o.key_or_group: str(o.value()) for o in overrides if o.key_or_group in SWEEP_KEYS}
    folder = new_folder(plan.verb, given.get("name", "sweep"), given.get("out"))
    values = {"verb": plan.verb, "keys": plan.keys, "jobs": plan.jobs, "cwd": str(plan.cwd)}
    write_text(folder / "sweep.yaml", stored.dump(values))
    return folder


def reopen(verb: str, overrides: list[Any], folder: Path) -> Plan:
    """Return the plan of an earlier sweep. It continues in the folder in which it was planned."""
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
    require_plan(plan, path)
    if plan["verb"] != verb:
        raise InputError(f"resume={folder} is a sweep of ebm {plan['verb']}, not of ebm {verb}")
    permission = permission_of(verb, overrides)
    cwd = Path(plan.get("cwd", Path.cwd()))
    if stored.is_signed(text):
        permission = None
    elif not permission.trust:
        require_own_paths(plan, cwd, path)
    if not cwd.is_dir():
        raise InputError(f"resume={folder} was planned in {cwd}, where its relative paths start, but that is gone")
    return Plan(verb, plan["keys"], plan["jobs"], cwd, permission, folder)


def require_own_paths(plan: dict[str, Any], cwd: Path, path: Path) -> None:
    """Raise InputError if an unsigned plan could read other files here: by interpolation, or from another folder."""
    if found := stored.interpolations(plan):
        raise InputError(
            f"{path} was not made on this account, and its {found[0]} hold an interpolation: type trust=true"
        )
    try:
        is_same = cwd.samefile(Path.cwd())
    except (OSError, ValueError):
        is_same = False
    if not is_same:
        raise InputError(
            f"resume={path.parent} was planned in {cwd}, where its relative paths start, and not on this account: "
            "go there first, or type trust=true"
        )


def require_plan(plan: dict[str, Any], path: Path) -> None:
    """Raise InputError unless the content of sweep.yaml is a plan."""

    def are_texts(value: Any) -> bool:
        return isinstance(value, list) and all(isinstance(item, str) for item in value)

    jobs = plan.get("jobs")
    valid = {
        "verb": isinstance(plan.get("verb"), str),
        "keys": are_texts(plan.get("keys")),
        "jobs": isinstance(jobs, list) and all(are_texts(job) and all("=" in word for word in job) for job in jobs),
        "cwd": isinstance(plan.get("cwd", ""), str),
    }
    for key in (key for key, is_valid in valid.items() if not is_valid):
        raise InputError(f"{path} is damaged: its {key} {'is missing' if key not in plan else 'cannot be read'}")


def job_label(line: list[str], keys: list[str]) -> str:
    """Return the words of a job's line that have a varying key, as one text."""
    values = line_values(line)
    return " ".join(f"{key}={values[key]}" for key in keys if key in values)


def line_values(line: list[str]) -> dict[str, str]:
    """Return the values of a job's words as text, by key."""
    pairs = (word.lstrip("+~").partition("=") for word in line)
    return {key: unquote(value) for key, _, value in pairs}
