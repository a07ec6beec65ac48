"""What training learned from its data, kept once for all checkpoints of a run."""

from ebm_cli.check import InputError
from ebm_cli.data import DataRecord
from ebm_cli.run.checkpoint import put_checkpoint, read_checkpoint
from ebm_cli.run.folder import Run

# Beside the checkpoints, which share it: what training learned from its data.
DATA = "data"
RECORDED = ("target", "path", "values", "fingerprint", "held_out")


def save_data_record(run: Run, record: DataRecord) -> None:
    """Write what training learned from its data, once for all checkpoints of a run."""
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
