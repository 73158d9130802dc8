"""The digits as bitmaps of 7 x 12: codes of the classes in LeNet-5's output layer."""

from __future__ import annotations

import numpy as np

_ROWS = """
....... ....... ....... ....... ....... ....... ....... ....... ....... .......
..###.. ...##.. .#####. .#####. .....#. ####### ..####. ####### .#####. ..####.
.##.##. ..###.. ##...## ##...## ....##. ##..... .##.... ....... ##...## .##..##
##...## .####.. .....## .....## ...###. ##..... ##..... .....## ##...## ##...##
##...## ...##.. .....## .....## ..####. ##..... ##..... ....##. .##.##. ##...##
##...## ...##.. ....##. ..####. .##.##. ######. ##.###. ....##. ..###.. ##..###
##...## ...##.. ...##.. .....## ##..##. .....## ###..## ...##.. .##.##. .###.##
##...## ...##.. ..##... .....## ####### .....## ##...## ...##.. ##...## .....##
##...## ...##.. .##.... .....## ....##. .....## ##...## ..##... ##...## .....##
.##.##. ...##.. ##..... ##...## ....##. ##...## .##..## ..##... ##...## ....##.
..###.. .###### ####### .#####. ....##. .#####. ..####. ..##... .#####. .####..
....... ....... ....... ....... ....... ....... ....... ....... ....... .......
"""


def _codes() -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    digits = zip(*(line.split() for line in _ROWS.strip().splitlines()), strict=True)
    return np.array([[1.0 if c == "#" else -1.0 for c in "".join(rows)] for rows in digits])


DIGIT_CODES = _codes()
"""(10, 84): +1 where there is ink and -1 elsewhere, row by row. That classes have 7 x 12 bitmaps
of printed characters as codes is the paper's (LeCun et al. 1998, section II.B and figure 3): alike
characters, which are confused anyway, get alike codes. The pixels are ours."""
DIGIT_CODES.flags.writeable = False
