"""The load profile: each quarter of an hour has one record at most, and all of them together what
the registers have, whenever the power goes and however the clock is set."""

import random
from pathlib import Path

import numpy as np
import pytest

from host_tests.rigs.board_parts import InFolder
from host_tests.rigs.meter_runs import default_board
from host_tests.rigs.profile_walk import QUARTER_S, Life, walk

LAYOUT = default_board()


def life(folder: Path) -> Life:
    files = InFolder(folder)
    return Life(files, files.open, LAYOUT)


@pytest.mark.parametrize("seed", range(4))
def test_quarters_are_what_was_metered_in_them(tmp_path: Path, seed: int) -> None:
    problems, checked, whole, world, archive = walk(
        lambda: life(tmp_path), random.Random(seed), 25, 250
    )
    assert problems == []
    print(checked, whole, len(archive.records), (world.now-1767225600)/86400)
