"""The data record of a training run: the units, fingerprint and held-out rows of its data, stored once."""

from ebm_cli.check import InputError
from ebm_cli.data import DataRecord, FileData
from ebm_cli.run.checkpoint import put_checkpoint, read_checkpoint
from ebm_cli.run.folder import Run

# The folder of the data record, next to the checkpoints.
DATA = "data"
RECORDED = ("target", "path", "values", "fingerprint", "held_out")


def keep_data_record(data: object, run: Run) -> None:
    """Write the data record of a run, unless its data have none or it is written already."""
    if isinstance(data, FileData) and read_data_record(run) is None:
        record = data.record()
        put_checkpoint(run.checkpoints / DATA, {name: getattr(record, name) for name in RECORDED})


def read_data_record(run: Run) -> DataRecord | None:
    """Return the data record of a run; None for data without a file, and for runs older than format 5."""
    folder = run.checkpoints / DATA
    if not folder.is_dir():
        return None
    tree = read_checkpoint(folder)
    try:
        return DataRecord(**{name: tree[name] for name in RECORDED})
    except KeyError as error:
        raise InputError(f"{folder} is damaged: it lacks {error}") from None


def record_for(run: Run, init: Run | None) -> DataRecord | None:
    """Return the data record of a resumed run. A new run gets the record of `init`, whose weights need its units."""
    own = read_data_record(run)
    if own is not None:
        return own.used_for("resume")
    other = None if init is None else read_data_record(init)
    return None if other is None else other.used_for("units")
