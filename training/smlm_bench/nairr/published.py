"""RMSMD in nm as published for NAIRR-SMLM, and version 0.1's of this project."""

from __future__ import annotations

COLUMNS = ("2DGauss LD", "2DGauss MD", "2DGauss HD", "2DAiry LD", "2DAiry MD", "2DAiry HD")

THEORY: dict[str, tuple[float | None, ...]] = {
    "UGIA-M (theory, all frames)": (2.69, 2.73, 5.62, 1.88, 3.05, 5.23),
    "UGIA-F (theory, frame by frame)": (9.50, 21.55, 122.09, 8.45, 12.16, 172.30),
}
"""Estimators of the theory, not programs."""

PROGRAMS: dict[str, tuple[float | None, ...]] = {
    "FSIC": (15.12, 14.32, 10.58, 20.05, 18.47, 15.07),
    "SMAP": (33.68, 12.91, 12.96, 29.26, 17.07, 23.04),
    "ThunderSTORM": (40.57, 18.07, 12.15, 25.79, 19.40, 32.12),
    "DECODE": (24.86, 77.46, 146.55, 16.49, 62.67, 201.88),
    "DeepSTORM": (29.97, 336.34, 982.49, 21.97, 74.70, 895.71),
    "3D-DAOSTORM": (102.54, 84.89, 122.69, 104.03, 69.78, 102.35),
}
"""Programs, on the benchmark's own films."""

EARLIER: dict[str, tuple[float | None, ...]] = {
    "smlm-recon 0.1": (10.99, 11.60, 9.81, None, None, None),
}
"""On films that were simulated again from the benchmark's positions."""
