"""Numbers as text: as Python writes them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smlm_pipeline.tables.decimal_text import decimal_lines


def _expected(values: list[float], decimals: int) -> list[str]:
    return [f"{value:.{decimals}f}" for value in values]


@pytest.mark.parametrize(
    "values",
    [
        [0.0, -0.0, 0.0004, -0.0004, 0.0006, 9.9996, -9.9996, 1.0, 10.0, 99999.123],
        [float("nan"), 1.5, float("inf"), -float("inf")],
        [1e15, 3e20, -1.0],
        [123456789012.125, 0.1],
        [],
    ],
)
def test_any_value(values: list[float]) -> None:
    text = decimal_lines([(np.array(values, float), 3)]).decode()
    assert text.splitlines() == _expected(values, 3)


@given(st.lists(st.integers(-(10**11), 10**11), max_size=40), st.integers(0, 4))
def test_all_decimals(thousandths: list[int], decimals: int) -> None:
    """Away from the middle between two decimals, where Python asks for the bits of the value."""
    values = [number * 10.0**-decimals + np.sign(number) * 2e-6 for number in thousandths]
    text = decimal_lines([(np.array(values, float), decimals)]).decode()
    assert text.splitlines() == _expected(values, decimals)


def test_lines_of_whole_and_broken_numbers() -> None:
    columns = [
        (np.array([1, 22, -333]), 0),
        (np.array([0.5, 107.25, 2.0]), 3),
        (np.array([0.99999, 0.1, 1.0]), 4),
    ]
    assert decimal_lines(columns) == (b"1,0.500,1.0000\n22,107.250,0.1000\n-333,2.000,1.0000\n")


def test_many_lines_of_any_width() -> None:
    values = np.random.default_rng(6).normal(0, 10.0 ** (np.arange(10_000) // 1500))
    whole = np.arange(10_000) ** 2
    text = decimal_lines([(whole, 0), (values, 2)]).decode()
    pairs = zip(whole.tolist(), _expected(values.tolist(), 2), strict=True)
    assert text.splitlines() == [f"{number},{value}" for number, value in pairs]
