"""U-Nets that answer with detections: the one served by default, and a small, fast one."""

from __future__ import annotations

import math

import keras
from keras import layers

from smlm_pipeline import contract
from smlm_training.networks.frames import read_input
from smlm_training.networks.resampling import SubPixels
from smlm_training.networks.trunk import trunk

SIGMA_MIN_PX = 0.01
"""Smallest uncertainty that a network may claim, for a finite likelihood."""

PROBABILITY_PRIOR = -4.0
"""Initial logit: most camera pixels hold no molecule."""

INTENSITY, INTENSITY_FILTERS = "intensity", 16
"""Name of the layers that state intensities, and channels of those before the last."""

INTENSITY_TYPICAL = 15.0
"""Intensity where the head's convolution is zero, as at the start: molecules have 2 to 100 times
the scale, by the width of their spots and the spread of their photons
(``simulation.spot.expected_scale_adu``)."""

INTENSITY_MIN = 0.1
"""Smallest intensity that a network may claim, so that a sigma relative to it is positive."""

INTENSITY_SPREAD_MIN = 0.01
"""Smallest uncertainty of an intensity, relative to it: ten thousand photons without a background
have it."""

INTENSITY_SPREAD_TYPICAL = 0.5
"""The same of the uncertainty of an intensity, relative to it: molecules differ by so much."""


def unet(filters: tuple[int, int, int] = (32, 64, 112)) -> keras.Model:
    """U-Net that reads camera frames and answers with one detection per camera pixel.

    Two levels. Filters are multiples of 16, the width of the CPU's and GPU's kernels. The
    activations of the output keep each channel in the range that ``contract.py`` states.

    Parameters
    ----------
    filters : tuple of int
        Channels at full, half and quarter resolution.

    Returns
    -------
    keras.Model
        (N, H, W, 1) normalised frames, H and W multiples of 4 -> (N, H, W, 7),
        float32.
    """
    frames = read_input()
    return keras.Model(frames, detections(trunk(frames, filters), frames), name="unet")


def unet_fast(filters: tuple[int, int] = (32, 64), fine_filters: int = 16) -> keras.Model:
    """U-Net behind a strided convolution, with one detection per camera pixel.

    A spot with a sigma of one pixel has little beyond half of the camera's spatial
    frequencies, so a quarter of the pixels with as many channels each keeps nearly all of it,
    at a quarter of the cost.

    Parameters
    ----------
    filters : tuple of int
        Channels at half and quarter resolution.
    fine_filters : int
        Channels at full resolution, before the detections.

    Returns
    -------
    keras.Model
        (N, H, W, 1) normalised frames, H and W multiples of 4 -> (N, H, W, 7),
        float32.
    """
    frames = read_input()
    coarse = layers.Conv2D(filters[0], 4, strides=2, padding="same", activation="relu")(frames)
    features = trunk(coarse, filters)
    fine = layers.Conv2D(4 * fine_filters, 1, activation="relu")(features)
    fine = layers.Conv2D(fine_filters, 3, padding="same", activation="relu")(SubPixels(2)(fine))
    return keras.Model(frames, detections(fine, frames), name="unet-fast")


def detections(features: keras.KerasTensor, frames: keras.KerasTensor) -> keras.KerasTensor:
    """The head of a detection network: each channel within the range of the contract.

    Parameters
    ----------
    features : tensor, shape (N, H, W, C)
        Features of each camera pixel.
    frames : tensor, shape (N, H, W, 1)
        The input of the network.

    Returns
    -------
    tensor, shape (N, H, W, 7), float32
        Probability in 0..1, two offsets within the contract's reach, two positive sigmas, a
        positive intensity and its positive sigma.
    """
    prior = keras.initializers.Constant(PROBABILITY_PRIOR)
    logit = layers.Conv2D(1, 1, bias_initializer=prior, dtype="float32")(features)
    offset = layers.Conv2D(2, 1, dtype="float32")(features)
    spread = layers.Conv2D(2, 1, dtype="float32")(features)
    probability = layers.Activation("sigmoid", dtype="float32")(logit)
    reach = layers.Rescaling(contract.MAX_OFFSET_PX, dtype="float32")(
        layers.Activation("tanh", dtype="float32")(offset)
    )
    sigma = layers.Rescaling(1.0, offset=SIGMA_MIN_PX, dtype="float32")(
        layers.Activation("softplus", dtype="float32")(spread)
    )
    parts = [probability, reach, sigma, _intensity(features, frames)]
    return layers.Concatenate(name="detections", dtype="float32")(parts)


def _intensity(features: keras.KerasTensor, frames: keras.KerasTensor) -> keras.KerasTensor:
    """Intensity and its sigma, (N, H, W, 2), from the features of each pixel and the light near it.

    Features that find molecules say little about how bright these are. The sigma is relative to
    the intensity, since noise of light and of neighbours grows with a molecule's own light. The
    names of the layers begin with ``INTENSITY``, so that a network without them can be the start
    of one with them.
    """
    light = layers.Conv2D(
        INTENSITY_FILTERS, 7, padding="same", activation="relu", name=f"{INTENSITY}_near"
    )(frames)
    mixed = layers.Conv2D(INTENSITY_FILTERS, 1, activation="relu", name=f"{INTENSITY}_mixed")(
        layers.Concatenate()([features, light])
    )
    answers = (
        layers.Conv2D(
            1,
            1,
            activation="softplus",
            kernel_initializer="zeros",  # so that it begins with what is typical
            dtype="float32",
            name=f"{INTENSITY}_{name}",
        )(mixed)
        for name in ("light", "relative_sigma")
    )
    ranges = (
        (INTENSITY_TYPICAL, INTENSITY_MIN),
        (INTENSITY_SPREAD_TYPICAL, INTENSITY_SPREAD_MIN),
    )
    intensity, relative_sigma = (
        layers.Rescaling(typical / math.log(2), offset=least, dtype="float32")(answer)
        for answer, (typical, least) in zip(answers, ranges, strict=True)
    )
    sigma = layers.Multiply(dtype="float32")([intensity, relative_sigma])
    return layers.Concatenate(dtype="float32")([intensity, sigma])
