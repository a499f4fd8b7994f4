"""Twenty thousand frames, after which the process holds what it held at first."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.benchmarks.soak import Look, growth, soak

pytestmark = pytest.mark.slow


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="memory is read from /proc")
def test_twenty_thousand_frames(colours: Path) -> None:
    pytest.importorskip("cv2")
    looks = soak(colours, 20_000, (32, 24), everything=True)
    assert looks[-1].frames == 20_000
    assert not growth(looks, limit=2.0)


def test_growth_is_seen() -> None:
    still = [Look(number, 1.0, 50.0, 6, 8) for number in range(10)]
    assert not growth(still, 2.0)
    for last in (Look(9, 1.0, 52.5, 6, 8), Look(9, 1.0, 50.0, 11, 8), Look(9, 1.0, 50.0, 6, 11)):
        assert len(growth([*still[:-1], last], 2.0)) == 1
