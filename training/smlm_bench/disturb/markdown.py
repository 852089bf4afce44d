"""Write the outcomes of disturbed films as a table of Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from smlm_bench.disturb.measure import Outcome


def as_markdown(found: Sequence[Outcome]) -> str:
    """A row for each disturbance; sum over truth and NMSE in percent for each film."""
    films = list(dict.fromkeys(one.film for one in found))
    by_name = {(one.disturbance, one.film): one for one in found}
    lines = [
        "| disturbance | " + " | ".join(f"{film}: sum, NMSE" for film in films) + " |",
        "|---|" + "---|" * len(films),
    ]
    for kind in dict.fromkeys(one.disturbance for one in found):
        cells = [by_name[kind, film] for film in films]
        numbers = (f"{one.sum_ratio:.3f}, {one.nmse_percent:.1f}" for one in cells)
        lines.append(f"| {kind} | " + " | ".join(numbers) + " |")
    return "\n".join(lines) + "\n"
