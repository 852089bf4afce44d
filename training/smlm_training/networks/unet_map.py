"""The U-Net of ``unet``, answering with a fine map instead of detections."""

from __future__ import annotations

import keras

from smlm_pipeline import contract
from smlm_training.networks.channels import read_input
from smlm_training.networks.fine_map import density, emitters_per_fine_pixel
from smlm_training.networks.resampling import SubPixels
from smlm_training.networks.trunk import trunk


def unet_map(filters: tuple[int, int, int] = (32, 64, 112)) -> keras.Model:
    """U-Net that reads camera frames and answers with the 8 times finer map.

    All convolutions run on the camera's grid; a sub-pixel head turns 64 channels
    of a camera pixel into its 8 x 8 fine pixels. The head is 1 x 1, so that the
    receptive field is that of ``unet``.

    Parameters
    ----------
    filters : tuple of int
        Channels at full, half and quarter resolution of the camera.

    Returns
    -------
    keras.Model
        (N, H, W, 2) normalised frames and film mean, H and W multiples of 4 ->
        (N, 8 H, 8 W, 1) emitters per fine pixel, float32.
    """
    frames = read_input()
    fine = density(trunk(frames, filters), contract.MAP_ZOOM**2)
    answer = emitters_per_fine_pixel(SubPixels(contract.MAP_ZOOM, dtype="float32")(fine))
    return keras.Model(frames, answer, name="unet-map")
