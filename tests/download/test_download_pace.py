from datetime import UTC, datetime

import pytest

from desa.download.pace import Pace, retry_after


class Clock:
    def __init__(self):
        self.now = 100.0
        self.slept = []

    def __call__(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()

    def sleep(self, seconds):
        self.check()
        clock.slept.append(max(seconds, 0.0))
        clock.now += max(seconds, 0.0)

    monkeypatch.setattr(Pace, "sleep", sleep)
    return clock


def test_rate(clock):
    pace = Pace(4.0, clock)
    for _ in range(5):
        pace.wait()
    assert clock.now == pytest.approx(101.0)
    clock.now += 10
    pace.wait()  # time that nobody used is not made up for by a burst
    pace.wait()
    assert clock.now == pytest.approx(111.25)


def test_a_pause_holds_all(clock):
    pace = Pace(1000.0, clock)
    pace.pause(30)
    pace.pause(5)
    pace.wait()
    assert clock.now == pytest.approx(130.0)


@pytest.mark.parametrize("jitter", [0.0, 0.3, 1.0])
def test_backoff_doubles_with_jitter(jitter):
    pace = Pace(1.0, jitter=lambda: jitter)
    waits = [pace.backoff(failures) for failures in range(1, 12)]
    share = 0.5 + 0.5 * jitter
    assert waits[:4] == pytest.approx([1 * share, 2 * share, 4 * share, 8 * share])
    assert max(waits) == pytest.approx(60 * share)


def test_retry_after():
    now = datetime(2026, 1, 1, tzinfo=UTC)
    assert retry_after("120", now) == 120
    assert retry_after("Thu, 01 Jan 2026 00:01:30 GMT", now) == 90
    assert retry_after("Thu, 01 Jan 2025 00:00:00 GMT", now) == 0
    assert retry_after(None) is None and retry_after("soon") is None and retry_after("-4") is None
