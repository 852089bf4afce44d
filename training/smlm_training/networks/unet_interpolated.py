"""The seed's form: a U-Net that works on the interpolated frame.

The seed states its input (208 x 208 x 1 for a patch of 26 x 26 camera pixels)
and that it is U-shaped; its layers are not published. Three levels, as
Deep-STORM has, let a fine pixel see six camera pixels around itself, which two
would not (three), and the widths are chosen so that it costs less than
Deep-STORM, as the seed's predecessor does (16.6 against 20 ms a frame).
"""

from __future__ import annotations

import keras

from smlm_training.networks.channels import FrameOnly, read_input
from smlm_training.networks.fine_map import density, emitters_per_fine_pixel, enlarge_frames
from smlm_training.networks.trunk import trunk


def unet_interpolated(filters: tuple[int, int, int, int] = (16, 32, 64, 128)) -> keras.Model:
    """U-Net on the frame repeated 8 times along y and x, which is its first layer.

    Parameters
    ----------
    filters : tuple of int
        Channels on the fine grid, at half, a quarter and an eighth of it; the
        last is the camera's own grid, so frames of any size fit.

    Returns
    -------
    keras.Model
        (N, H, W, 2) normalised frames of any size and film mean, which is not read
        -> (N, 8 H, 8 W, 1) emitters per fine pixel, float32.
    """
    frames = read_input()
    features = trunk(enlarge_frames(FrameOnly()(frames)), filters)
    answer = emitters_per_fine_pixel(density(features, 1))
    return keras.Model(frames, answer, name="unet-interpolated")
