"""Which pixels show the object, from how far their colour is from the colour of the border.

The fall-back for the authors' masks, which a large segmentation network made from prompts in the
image's corners and which no data set contains (spec 5.2). Their recipe takes what is joined to
the corners as background, so holes in the object count as object; so they do here. Plain Otsu on
grey, which the spec names, left only outlines of parts that are as bright as their ground.
"""

from __future__ import annotations

import torch
from scipy import ndimage
from torch import Tensor
from torch.nn.functional import max_pool2d

from adbench.methods.transfusion.synthesis.tables import histograms

BORDER = 0.02
"""Width of the border that is taken for background, as a share of the side."""
SPREAD_QUANTILE = 0.98
SPREAD_FACTOR = 1.6
"""A colour this much farther off than nearly all of the border is not background."""
DILATION = 5


def otsu_foreground(levels: Tensor) -> Tensor:
    """The object's pixels, holes filled, dilated; all ones where the border is no background.

    A pixel's distance is the largest difference of a channel from the border's median colour.
    It is foreground above Otsu's threshold of the distances, or above a lower threshold set by
    the border's own spread, where dark details would draw Otsu's threshold over the object's
    body. A spread above Otsu's threshold means that the image has no plain background.

    Args:
        levels: uint8 (N, 3, H, W).

    Returns:
        bool (N, 1, H, W), on the CPU.
    """
    border = _border(*levels.shape[-2:])
    colours = levels.cpu().float()
    median = colours[:, :, border].median(dim=2).values  # (N, 3)
    distance = (colours - median[:, :, None, None]).abs().amax(1)  # (N, H, W)
    otsu = otsu_threshold(histograms(distance.to(torch.uint8)[:, None])[:, 0]).float()
    spread = distance[:, border].quantile(SPREAD_QUANTILE, dim=1)  # (N,)
    threshold = torch.minimum(otsu, SPREAD_FACTOR * spread)
    found = (distance > threshold[:, None, None])[:, None]
    hopeless = (spread > otsu) | ~found.flatten(1).any(1)
    return dilate(_fill_holes(found)) | hopeless[:, None, None, None]


def otsu_threshold(histogram: Tensor) -> Tensor:
    """The value that parts a histogram into the two most distant classes (Otsu 1979, eq. 18).

    Args:
        histogram: int64 (N, 256).

    Returns:
        int64 (N,), 0..255; the upper class is what is greater than it.
    """
    weight = histogram.cumsum(1).double()
    moment = (histogram * torch.arange(256, device=histogram.device)).cumsum(1).double()
    total, total_moment = weight[:, -1:], moment[:, -1:]
    apart = total_moment * weight - total * moment
    between = apart**2 / (weight * (total - weight)).clamp_min(1)
    return between.argmax(1)


def dilate(masks: Tensor, side: int = DILATION) -> Tensor:
    """Grow bool (N, 1, H, W) masks by a square of odd side (spec 5.2: 5 x 5 ones, once)."""
    return max_pool2d(masks.float(), side, stride=1, padding=side // 2) > 0


def _fill_holes(masks: Tensor) -> Tensor:
    """Add what bool (N, 1, H, W) masks enclose. Runs once a training image, before training."""
    filled = [ndimage.binary_fill_holes(mask[0].numpy()) for mask in masks]
    return torch.stack([torch.from_numpy(mask) for mask in filled])[:, None]


def _border(height: int, width: int) -> Tensor:
    """bool (H, W): the outermost pixels."""
    rows, columns = max(1, round(BORDER * height)), max(1, round(BORDER * width))
    border = torch.ones((height, width), dtype=torch.bool)
    border[rows:-rows, columns:-columns] = False
    return border
