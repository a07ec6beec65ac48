"""Find what `run=`, `resume=` and `init=` name: a folder, a file of chains, or the newest run that a verb can use."""

from pathlib import Path

from ebm_cli.check import InputError, nearest_hint
from ebm_cli.run.folder import Run

# The verbs whose runs a verb can use, and the file that such a run must contain.
USES = {"train": ("train",), "sample": ("train",), "evaluate": ("train",), "diagnose": ("sample",)}
NEEDS = {"train": "checkpoints/last", "sample": "chains.nc"}


def find(value: str, verb: str, key: str = "run") -> Run | Path:
    """Return the run that KEY=VALUE names for `verb`, or a file of chains. Raises InputError if it cannot be used."""
    word, _, kind = value.partition("/")
    if word == "latest" and not Path(value).exists():
        return latest_run(verb, kind, key)
    path = Path(value).expanduser()
    if not path.exists():
        names = [other.name for other in path.parent.iterdir()] if path.parent.is_dir() else []
        raise InputError(f"{key}={value} does not exist{nearest_hint(path.name, names)}")
    if verb == "diagnose" and not path.is_dir():
        from ebm_cli.chain.chain_file import check_kind

        check_kind(path, value)
        return path.absolute()
    run = Run(path.absolute())
    require_usable(run, verb, key)
    return run


def path_of(found: Run | Path) -> str:
    """Return the folder of a run, or the file of chains."""
    return str(found.folder if isinstance(found, Run) else found)


def require_usable(run: Run, verb: str, key: str) -> None:
    """Raise InputError unless `verb` can work with `run`."""
    config = run.config()
    made, parent = config["made"].get("verb"), config.get("run")
    if made not in USES[verb]:
        advice = ""
        if made == "sample" and parent and "train" in USES[verb]:
            advice = f"; it came from {key}={parent}"
        elif made == "train" and verb == "diagnose":
            advice = f"; first ebm sample run={run.folder}"
        raise InputError(
            f"{key}={run.folder} is a run of ebm {made}, but ebm {verb} needs a run of ebm {USES[verb][0]}{advice}"
        )
    if verb == "diagnose" and (run.folder / "observations.csv").exists():
        raise InputError(
            f"{key}={run.folder} has draws given observations, whose chains were judged when they were made: "
            "observations.csv in it has their verdicts"
        )
    if not is_ready(run.folder, made, key):
        advice = f"; ebm train resume={run.folder} continues it" if made == "train" else ""
        raise InputError(f"{key}={run.folder} has no {NEEDS[made]} yet: it stopped before its first{advice}")


def is_ready(folder: Path, made: str, key: str) -> bool:
    """Return True if a run has what KEY= needs; resume= also takes a run without a checkpoint."""
    return key == "resume" or (folder / NEEDS[made]).exists()


def latest_run(verb: str, kind: str, key: str) -> Run:
    """Return the newest run under ./outputs, sweep members included, that `verb` can use."""
    kinds = USES[verb]
    if kind:
        if kind not in kinds:
            raise InputError(
                f"{key}=latest/{kind}: ebm {verb} needs a run of ebm {kinds[0]}{nearest_hint(kind, kinds)}"
            )
        kinds = (kind,)
    outputs = Path.cwd() / "outputs"
    configs = [
        config
        for made in kinds
        for pattern in ("*/*/config.yaml", "*/*/*/config.yaml")
        for config in (outputs / made).glob(pattern)
        if is_ready(config.parent, made, key)
    ]
    if not configs:
        raise InputError(f"{key}=latest: there is no run of ebm {kinds[0]} under {outputs} that can be used")
    return Run(max(configs, key=lambda config: config.stat().st_mtime_ns).parent)
