"""What training learned from its data, kept once for all checkpoints of a run."""

from ebm_cli.check import InputError
from ebm_cli.data import DataRecord, FileData
from ebm_cli.run.checkpoint import put_checkpoint, read_checkpoint
from ebm_cli.run.folder import Run

# Beside the checkpoints, which share it: what training learned from its data.
DATA = "data"
RECORDED = ("target", "path", "values", "fingerprint", "held_out")


def keep_data_record(data: object, run: Run) -> None:
    """Write what training learned from its data, once for all checkpoints of a run, if it learned anything."""
    if isinstance(data, FileData) and read_data_record(run) is None:
        record = data.record()
        put_checkpoint(run.checkpoints / DATA, {name: getattr(record, name) for name in RECORDED})


def read_data_record(run: Run) -> DataRecord | None:
    """What a run keeps of its data; None for data without a file, and for runs of before format 5."""
    folder = run.checkpoints / DATA
    if not folder.is_dir():
        return None
    tree = read_checkpoint(folder)
    try:
        return DataRecord(**{name: tree[name] for name in RECORDED})
    except KeyError as error:
        raise InputError(f"{folder} is damaged: it lacks {error}") from None


def record_for(run: Run, init: Run | None) -> DataRecord | None:
    """The data record that a resumed run has of its own, or that of `init`, whose weights belong to its units."""
    own = read_data_record(run)
    if own is not None:
        return own.used_for("resume")
    other = None if init is None else read_data_record(init)
    return None if other is None else other.used_for("units")
