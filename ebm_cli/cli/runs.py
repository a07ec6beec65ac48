"""What `run=`, `resume=` and `init=` name: a folder, a file of chains, or the newest run that a verb can use."""

from pathlib import Path

from ebm_cli.check import InputError, nearest
from ebm_cli.run.folder import Run

# Which runs a verb can use, by the verb that made them.
USES = {"train": ("train",), "sample": ("train",), "evaluate": ("train",), "diagnose": ("sample",)}
NEEDS = {"train": "checkpoints/last", "sample": "chains.nc"}


def find(value: str, verb: str, key: str = "run") -> Run | Path:
    """The run that KEY=VALUE names for `verb`, or a file of chains; InputError when it cannot be used."""
    word, _, kind = value.partition("/")
    if word == "latest" and not Path(value).exists():
        return latest(verb, kind, key)
    path = Path(value).expanduser()
    if not path.exists():
        raise InputError(f"{key}={value} is not there{_neighbour(path)}")
    if verb == "diagnose" and not path.is_dir():
        from ebm_cli.chain.chain_file import check_kind

        check_kind(path, value)
        return path.absolute()
    run = Run(path.absolute())
    usable(run, verb, key)
    return run


def place(found: Run | Path) -> str:
    """The folder of a run that was found, or the file of chains."""
    return str(found.folder if isinstance(found, Run) else found)


def usable(run: Run, verb: str, key: str) -> None:
    """Raise InputError unless `verb` can work with `run`."""
    made = run.config()["made"].get("verb")
    if made not in USES[verb]:
        advice = ""
        parent = run.config().get("run")
        if made == "sample" and parent and "train" in USES[verb]:
            advice = f"; it came from {key}={parent}"
        elif made == "train" and verb == "diagnose":
            advice = f"; first ebm sample run={run.folder}"
        raise InputError(
            f"{key}={run.folder} is of ebm {made}, but ebm {verb} needs one of ebm {USES[verb][0]}{advice}"
        )
    if not serves(run.folder, made, key):
        advice = f"; ebm train resume={run.folder} goes on" if made == "train" else ""
        raise InputError(f"{key}={run.folder} has no {NEEDS[made]} yet: it stopped before its first{advice}")


def serves(folder: Path, made: str, key: str) -> bool:
    """Whether a run has what KEY= needs of it: resume= takes one without a checkpoint, and trains it from step 0."""
    return key == "resume" or (folder / NEEDS[made]).exists()


def latest(verb: str, kind: str, key: str) -> Run:
    """The newest run under ./outputs, sweep members included, that `verb` can use."""
    kinds = USES[verb]
    if kind:
        if kind not in kinds:
            raise InputError(f"{key}=latest/{kind}: ebm {verb} needs a run of ebm {kinds[0]}{nearest(kind, kinds)}")
        kinds = (kind,)
    outputs = Path.cwd() / "outputs"
    found: list[tuple[int, Run]] = []
    for made in kinds:
        for pattern in ("*/*/config.yaml", "*/*/*/config.yaml"):
            for config in (outputs / made).glob(pattern):
                if serves(config.parent, made, key):
                    found.append((config.stat().st_mtime_ns, Run(config.parent)))
    if not found:
        raise InputError(f"{key}=latest: there is no run of ebm {kinds[0]} under {outputs} that can be used")
    return max(found, key=lambda pair: pair[0])[1]


def _neighbour(path: Path) -> str:
    """A hint at a name in the same folder that is close to `path`'s."""
    if not path.parent.is_dir():
        return ""
    return nearest(path.name, [other.name for other in path.parent.iterdir()])
