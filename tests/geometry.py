"""Convolution and pooling geometries, small to large, that between them meet every special case."""

from dataclasses import dataclass

import numpy as np

from fastnn import reference


@dataclass(frozen=True)
class Conv:
    """x (N, H, W, C) * w (O, KH, KW, C/groups)."""

    x: tuple[int, int, int, int]
    o: int
    kernel: tuple[int, int]
    stride: int | tuple[int, int] = 1
    padding: int | tuple = 0
    dilation: int | tuple[int, int] = 1
    groups: int = 1

    @property
    def options(self):
        return {
            "stride": self.stride,
            "padding": self.padding,
            "dilation": self.dilation,
            "groups": self.groups,
        }

    @property
    def w(self):
        return (self.o, *self.kernel, self.x[3] // self.groups)

    @property
    def y(self):
        window = {name: value for name, value in self.options.items() if name != "groups"}
        one_channel = np.zeros((*self.x[:3], 1)), np.zeros((1, *self.kernel, 1))
        return (*reference.conv2d(*one_channel, **window).shape[:3], self.o)

    def __str__(self):
        options = "".join(f" {k[0]}{v}" for k, v in self.options.items() if v not in (0, 1))
        return f"{self.x} {self.w}{options}".replace(", ", ",")


CONVS = [
    Conv((1, 1, 1, 1), 1, (1, 1)),
    Conv((2, 5, 5, 3), 7, (1, 1)),
    Conv((3, 7, 5, 2), 5, (3, 3)),
    Conv((2, 9, 8, 3), 17, (3, 3), padding=1),
    Conv((1, 13, 11, 1), 6, (5, 5), padding=2),  # one channel: the patch rows are short
    Conv((2, 14, 14, 6), 16, (5, 5)),
    Conv((2, 8, 9, 4), 3, (3, 3), stride=2, padding=1),
    Conv((1, 11, 10, 3), 4, (3, 2), stride=(3, 2), padding=(1, 0)),
    Conv((2, 6, 7, 2), 3, (2, 3), padding=((0, 2), (1, 0))),
    Conv((1, 9, 9, 2), 4, (3, 3), stride=2, padding=((0, 1), (2, 1)), dilation=2),
    Conv((1, 12, 13, 3), 2, (3, 2), padding=(4, 3), dilation=(3, 4)),
    Conv((1, 5, 5, 2), 3, (1, 1), stride=3),  # pixels that no window reads
    Conv((2, 4, 3, 2), 3, (2, 2), stride=5),  # strides past the image
    Conv((1, 3, 2, 2), 3, (5, 4), padding=2),  # a kernel larger than the image
    Conv((1, 2, 2, 2), 3, (1, 1), padding=3),  # outputs that see only padding
    Conv((2, 7, 7, 6), 8, (3, 3), padding=1, groups=2),
    Conv((1, 6, 6, 9), 3, (3, 3), stride=2, groups=3),
    Conv((2, 6, 5, 7), 7, (3, 3), padding=1, groups=7),  # depthwise
    Conv((1, 6, 5, 4), 12, (3, 2), padding=1, groups=4),  # depthwise, three filters per channel
    Conv((2, 9, 8, 17), 17, (3, 3), padding=1, groups=17),
    Conv((1, 11, 13, 33), 33, (3, 3), stride=2, padding=1, groups=33),
    Conv((1, 12, 9, 15), 15, (5, 5), padding=2, groups=15),
    Conv((1, 13, 12, 9), 9, (2, 7), (1, 3), ((3, 0), (1, 4)), dilation=2, groups=9),
    Conv((3, 24, 23, 5), 5, (3, 3), padding=1, groups=5),  # 1656 pixels
    Conv((1, 9, 7, 17), 33, (3, 3), padding=1),
    Conv((1, 5, 5, 70), 49, (3, 3), padding=1),  # a patch longer than one K block: 630
    Conv((1, 6, 6, 131), 13, (3, 3), padding=1),  # longer than two: 1179
    Conv((3, 17, 19, 8), 31, (3, 3), padding=1),  # 969 pixels
    Conv((1, 40, 37, 3), 16, (3, 3), padding=1),  # 1480 pixels
    Conv((1, 3, 4, 2), 1061, (2, 2)),  # more filters than one N block
    Conv((9, 3, 3, 16), 16, (3, 3), padding=1),
]
"""Every geometry."""

EMPTY = [
    Conv((0, 5, 5, 3), 4, (3, 3)),  # no images
    Conv((0, 5, 5, 16), 20, (3, 3), padding=1),  # none, by Winograd's algorithm
    Conv((0, 5, 5, 16), 20, (3, 3), padding=1, stride=2),
    Conv((0, 5, 5, 6), 6, (3, 3), groups=6),  # none, depthwise
    Conv((2, 5, 5, 0), 4, (3, 3)),  # no channels: the bias alone
    Conv((2, 5, 5, 3), 0, (3, 3)),  # no filters
    Conv((2, 0, 5, 3), 4, (1, 1), padding=1),  # images without pixels
]
"""Geometries in which some array has no elements."""
