"""Sequences of letters from the help texts that ship with Python."""

import re
import sys

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ebm_cli import check
from ebm_cli.check import InputError
from ebm_cli.data import Batch
from ebm_cli.data._finite import FiniteData
from ebm_cli.data._rows import check_split, split_rows
from ebm_cli.data._sites import Sites

ALPHABET = " abcdefghijklmnopqrstuvwxyz"


class Text(FiniteData):
    """Windows of consecutive characters, each one of 27 categories: a space and the letters a to z.

    The text is that of `help("topics")` (pydoc_data.topics of the standard library), about 300,000 characters: in lower
    case, and with a single space for everything between letters. Each paragraph occurs once and is in only one part.
    The paragraphs of a part are joined and cut into windows that do not overlap. The text differs between versions of
    Python.

    length: characters per window (≥ 2).
    holdout_fraction: fraction of the paragraphs that is held out (in (0, 1)).
    seed: seed of the split (≥ 0).
    """

    space = "categorical"
    # The name of the column of samples.csv.
    columns = ("text",)

    def __init__(self, length: int, holdout_fraction: float, seed: int) -> None:
        check.every(lambda: check.count("length", length, minimum=2), lambda: check_split(holdout_fraction, 0.0, seed))
        self._sites = Sites(self.space, (length, len(ALPHABET)))
        texts = paragraphs()
        parts = [" ".join(texts[row] for row in rows) for rows in split_rows(len(texts), holdout_fraction, seed)]
        shortest = min(map(len, parts))
        if length > shortest:
            raise InputError(f"length must be <= {shortest}, the length of the shorter part, got {length}")
        python = f"{sys.version_info.major}.{sys.version_info.minor}"
        self.notes = [f"data: windows of {length} characters from the help texts of Python {python}"]
        super().__init__(self._windows(parts[0]), self._windows(parts[1]), 0.0)

    def _windows(self, text: str) -> Batch:
        """Return the windows of a text as states."""
        length = self._sites.count
        numbers = np.array([ALPHABET.index(letter) for letter in text[: len(text) // length * length]])
        x = self._sites.states(torch.as_tensor(numbers.reshape(-1, length)), torch.get_default_dtype())
        return Batch(x, clean=x)

    def decode(self, x: Float[Tensor, "n length letters"]) -> np.ndarray:
        letters = np.array(list(ALPHABET))[self._sites.numbers(x).cpu().numpy()]
        return np.array([["".join(row)] for row in letters], dtype=object)


def paragraphs() -> list[str]:
    """Return the paragraphs of the help texts as letters and single spaces, each once, in their order."""
    from pydoc_data.topics import topics

    texts = [block for text in topics.values() for block in text.split("\n\n")]
    found = (re.sub("[^a-z]+", " ", text.lower()).strip() for text in texts)
    return list(dict.fromkeys(filter(None, found)))
