"""The number of requests under way follows what the server can do."""

from __future__ import annotations

import pytest

from smlm_pipeline.run.concurrency import ConcurrencyLimit


def _serve(limit: ConcurrencyLimit, servers: int, rounds: int, *, alone_s: float = 1.0) -> int:
    """Answers of a server that works on so many requests at once, one after the other."""
    for _ in range(rounds * limit.most):
        limit.answered(alone_s * max(limit.limit / servers, 1.0))
    return limit.limit


@pytest.mark.parametrize(("servers", "low", "high"), [(1, 2, 3), (2, 3, 4), (8, 9, 10)])
def test_a_few_more_than_are_worked_on(servers: int, low: int, high: int) -> None:
    limit = ConcurrencyLimit(2, 16)
    limit.answered(1.0)
    assert low <= _serve(limit, servers, rounds=20) <= high


def test_it_stays_within_the_most() -> None:
    assert _serve(ConcurrencyLimit(2, 5), servers=100, rounds=20) == 5


def test_it_shrinks_when_the_server_slows() -> None:
    limit = ConcurrencyLimit(2, 16)
    assert _serve(limit, servers=8, rounds=20) >= 9
    assert _serve(limit, servers=1, rounds=40) <= 3


def test_a_failure_halves_it() -> None:
    limit = ConcurrencyLimit(8, 16)
    for expected in (4, 2, 1, 1):
        limit.failed()
        assert limit.limit == expected
    assert (limit.failures, limit.swapped_answers) == (4, 0)
    limit.failed(swapped=True)
    assert (limit.failures, limit.swapped_answers) == (5, 1)


def test_as_many_wait_in_each_of_several_servers() -> None:
    """As a server alone would get them, and as often again for each further one."""
    limit = ConcurrencyLimit(2 * 4, 16 * 4, servers=4)
    limit.answered(1.0)
    assert 4 * 2 <= _serve(limit, 4, rounds=20) <= 4 * 3 + 1


def test_a_failure_of_one_of_several_halves_its_share() -> None:
    limit = ConcurrencyLimit(16, 32, servers=4)
    for expected in (14, 12, 10, 8, 7, 6, 5, 4, 3, 2, 1, 1):
        limit.failed()
        assert limit.limit == expected


def test_a_number_that_was_asked_for_stays() -> None:
    limit = ConcurrencyLimit(3, 3)
    limit.failed()
    assert _serve(limit, servers=50, rounds=20) == 3


def test_no_time_at_all() -> None:
    limit = ConcurrencyLimit(2, 4)
    for _ in range(20):
        limit.answered(0.0)
    assert limit.limit == 4


def test_a_server_that_joins_brings_its_share_and_one_that_leaves_takes_it() -> None:
    limit = ConcurrencyLimit(2, 8, ceiling=20)
    limit.share(2)
    assert (limit.limit, limit.most) == (4, 16)
    limit.share(4)
    assert (limit.limit, limit.most) == (8, 20), "memory for so many"
    limit.share(1)
    assert (limit.limit, limit.most) == (2, 8)
    fixed = ConcurrencyLimit(3, 3)
    fixed.share(4)
    assert fixed.limit == 3
