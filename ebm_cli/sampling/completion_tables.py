"""Tables of draws given observations: one row per observation, and completed rows of a user's table."""

import csv

from ebm_cli.data import Data, IncompleteRows
from ebm_cli.run.folder import Run
from ebm_cli.sampling.completion_scores import MODEL, Scores
from ebm_cli.sampling.conditional_chains import ConditionalDraws

# Draws per row in imputed.csv.
IMPUTATIONS = 10


def write_observations(run: Run, found: list[ConditionalDraws], scores: list[Scores]) -> None:
    """Write observations.csv: the verdict on the chains of each observation, and its scores if its state is known."""
    scored = scores if len(scores) == len(found) else [None] * len(found)
    with (run.folder / "observations.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["observation", "unknown", "mixing", "rmse", "log_score", "log_z", "reason"])
        for draws, each in zip(found, scored, strict=True):
            log_z = draws.rows.get("log_z")
            table.writerow(
                [
                    *(draws.seen.name, int(draws.drawn.sum()), draws.mixing.verdict),
                    "" if each is None else f"{each.squares[MODEL] ** 0.5:.6g}",
                    "" if each is None or MODEL not in each.logs else f"{each.logs[MODEL]:.6g}",
                    "" if log_z is None or log_z.value is None else f"{log_z.value:.6g}",
                    draws.mixing.reason if draws.mixing.verdict != "ok" else "",
                ]
            )


def write_imputed_rows(run: Run, data: Data, incomplete: IncompleteRows, found: list[ConditionalDraws]) -> None:
    """Write imputed.csv: several draws of every row of a table that has empty cells, in the units of the file.

    Cells that have a value keep it as it is.
    """
    table = incomplete.table
    with (run.folder / "imputed.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["row", "draw", *table.columns])
        for number, draws in zip(incomplete.numbers, found, strict=False):
            own, empty = table.iloc[int(number)].tolist(), table.iloc[int(number)].isna().tolist()
            for count, row in enumerate(data.decode(draws.spaced(min(IMPUTATIONS, len(draws.x)))).tolist()):
                cells = [new if is_empty else old for new, old, is_empty in zip(row, own, empty, strict=True)]
                writer.writerow([number, count, *(f"{c:.6g}" if isinstance(c, float) else c for c in cells)])
