"""The top part of a picture is known."""

from ebm_cli.condition._side import Side


class Top(Side):
    """The pixels of the top part of a picture are known, and the others are drawn: inpainting.

    fraction: fraction of the rows that is known, rounded to whole ones (in (0, 1)).
    """

    def __init__(self, fraction: float) -> None:
        super().__init__("top", fraction)
