"""The log is bounded, and says what it has left out."""

import logging
from collections.abc import Iterator

import pytest

from tools.serve.told import Bounded


@pytest.fixture
def log() -> Iterator[logging.Logger]:
    logger = logging.getLogger("told")
    logger.propagate = False
    logger.setLevel(logging.INFO)
    yield logger
    logger.handlers.clear()


class Kept(logging.Handler):
    def __init__(self, now: list[float]) -> None:
        super().__init__()
        self.said: list[str] = []
        self.bounded = Bounded(lambda: now[0])
        self.addFilter(self.bounded)

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(record.getMessage())


def test_days_of_the_same_word(log: logging.Logger) -> None:
    now = [0.0]
    kept = Kept(now)
    log.addHandler(kept)
    for second in range(86400):
        now[0] = float(second)
        for port in ("/dev/a", "/dev/b"):
            log.warning("board at %s: gone", port)
        if second % 3600 == 0:
            log.info("all is well, 100%")
    of_a = [line for line in kept.said if "/dev/a" in line]
    # The first thirty, and then one a minute.
    assert 1440 <= len(of_a) <= 1440 + 31 and of_a[:30] == ["board at /dev/a: gone"] * 30
    assert of_a[-1] == "board at /dev/a: gone (and 59 like it, left out before)"
    assert [line for line in kept.said if "well" in line] == ["all is well, 100%"] * 24


def test_what_is_known_of_words_is_bounded(log: logging.Logger) -> None:
    now = [0.0]
    kept = Kept(now)
    log.addHandler(kept)
    for k in range(5000):
        log.warning("%s", "x" * k)
        log.warning("steady %d", 1)
    assert len(kept.bounded._kinds) <= 1000
    # What goes on being said is not forgotten for what is said once.
    assert sum(line.startswith("steady") for line in kept.said) == 30
