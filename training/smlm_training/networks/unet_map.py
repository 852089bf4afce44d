"""U-Nets that answer with maps: one on the camera's grid, one on the enlarged frame."""

from __future__ import annotations

import keras

from smlm_pipeline import contract
from smlm_training.networks.fine_map import density, emitters_per_sr_pixel, enlarge_frames
from smlm_training.networks.frames import read_input
from smlm_training.networks.resampling import SubPixels
from smlm_training.networks.trunk import trunk


def unet_map(filters: tuple[int, int, int] = (32, 64, 112)) -> keras.Model:
    """The U-Net of ``unet``, with a map of 8 x 8 SR pixels per camera pixel as its answer.

    All convolutions run on the camera's grid; a sub-pixel head turns 64 channels of a camera
    pixel into its 8 x 8 SR pixels. The head is 1 x 1, so that the receptive field is that of
    ``unet``.

    Parameters
    ----------
    filters : tuple of int
        Channels at full, half and quarter resolution of the camera.

    Returns
    -------
    keras.Model
        (N, H, W, 1) normalised frames, H and W multiples of 4 ->
        (N, 8 H, 8 W, 1) emitters per SR pixel, float32.
    """
    frames = read_input()
    fine = density(trunk(frames, filters), contract.MAP_ZOOM**2)
    answer = emitters_per_sr_pixel(SubPixels(contract.MAP_ZOOM, dtype="float32")(fine))
    return keras.Model(frames, answer, name="unet-map")


def unet_interpolated(filters: tuple[int, int, int, int] = (16, 32, 64, 128)) -> keras.Model:
    """U-Net on the frame repeated 8 times along y and x: the form of the reference paper.

    The paper gives the input (208 x 208 x 1 for a patch of 26 x 26 camera pixels) and the
    U shape, but not the layers. As in Deep-STORM there are three levels, through which an SR
    pixel sees six camera pixels around itself; two levels would show it three. The widths make
    it cheaper than Deep-STORM, as the network that the paper builds on is (16.6 against 20 ms
    a frame).

    Parameters
    ----------
    filters : tuple of int
        Channels on the SR grid, at half, a quarter and an eighth of it; the last is the
        camera's own grid, so frames of any size fit.

    Returns
    -------
    keras.Model
        (N, H, W, 1) normalised frames of any size -> (N, 8 H, 8 W, 1) emitters per SR pixel,
        float32.
    """
    frames = read_input()
    features = trunk(enlarge_frames(frames), filters)
    answer = emitters_per_sr_pixel(density(features, 1))
    return keras.Model(frames, answer, name="unet-interpolated")
