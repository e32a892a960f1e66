"""What is counted and put in order over the rows of a regression run, worked by hand."""

import math

import pytest

from host_tests.rigs.regress_rows import report, row
from tools.regress.row import Row, by_lane, counts, error_ppm, metered_s, times_real_time, worst


@pytest.mark.parametrize(
    ("errors", "largest"),
    [
        ((3.0, -7.0, 2.0), -7.0),
        ((None, None, -4.0), -4.0),
        ((0.0, None, None), 0.0),
        ((None, None, None), None),
        # What should have been a number is worse than any.
        ((5.0, math.nan, 9.0), math.nan),
    ],
)
def test_the_largest_error_of_a_row(
    errors: tuple[float | None, float | None, float | None], largest: float | None
) -> None:
    found = error_ppm(row(report=report(errors)))
    assert found == largest or (found is not None and largest is not None and math.isnan(found))


def test_no_result_has_no_error() -> None:
    assert error_ppm(row(report=None)) is None


def test_the_worst_are_what_failed_and_then_the_largest_errors() -> None:
    def of(name: str, verdict: str, total: float | None) -> Row:
        said = None if total is None else report((None, None, total))
        return row(name, verdict=verdict, report=said)

    rows = [
        of("small", "passed", 1.0),
        of("cut", "unusable", None),
        of("large", "passed", -900.0),
        of("died", "failed", None),
        of("off", "limit", 50.0),
        of("other", "golden", -60.0),
        of("alike", "passed", 1.0),
    ]
    names = [found["recording"] for found in worst(rows, 10)]
    assert names == ["other", "off", "died", "large", "small", "alike", "cut"]
    assert [found["recording"] for found in worst(rows, 2)] == names[:2]


def test_every_verdict_is_counted() -> None:
    rows = [row(verdict=of) for of in ("limit", "passed", "limit", "failed")]
    assert counts(rows) == {"passed": 1, "limit": 2, "golden": 0, "failed": 1, "unusable": 0}
    assert [*counts([])] == ["passed", "limit", "golden", "failed", "unusable"]


def test_rows_of_a_lane_are_together() -> None:
    rows = [row("a"), row("b", adc="real"), row("c"), row("d", adc=None, engine="cpython")]
    found = {str(of): [r["recording"] for r in its] for of, its in by_lane(rows).items()}
    assert found == {
        "feather_rp2040/micropython/ideal": ["a", "c"],
        "feather_rp2040/micropython/real": ["b"],
        "feather_rp2040/cpython/codes": ["d"],
    }


def test_speed_is_of_what_was_run() -> None:
    rows = [
        row(report=report(seconds=30), took_s=2),
        row(report=report(seconds=10), took_s=3),
        # Neither kept results nor those that have none say how fast it is.
        row(report=report(seconds=1000), took_s=1, was_kept=True),
        row(report=None, took_s=50),
    ]
    assert metered_s(rows) == 1040
    assert times_real_time(rows) == pytest.approx(8)
    assert times_real_time(rows[2:]) is None and times_real_time([]) is None
