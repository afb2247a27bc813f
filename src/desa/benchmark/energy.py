"""Energy of a stretch of work, by codecarbon without network; wall time alone where it is not installed."""

from __future__ import annotations

import logging
from types import TracebackType
from typing import Any

try:
    from codecarbon import OfflineEmissionsTracker
except ImportError:
    OfflineEmissionsTracker = None


class Meter:
    """Measures the machine's energy while its block runs.

    Attributes
    ----------
    kwh
        Energy, once the block has ended; NaN where codecarbon is not installed.
    text
        How it was measured.
    """

    def __init__(self) -> None:
        self.kwh = float("nan")
        self.text = "not measured: codecarbon is not installed"
        self._tracker: Any = None

    def __enter__(self) -> Meter:
        if OfflineEmissionsTracker is not None:
            # The country only scales emissions, which are not reported.
            logging.getLogger("codecarbon").setLevel(logging.CRITICAL)
            self._tracker = OfflineEmissionsTracker(
                country_iso_code="USA",
                save_to_file=False,
                log_level=logging.CRITICAL,
                measure_power_secs=15,
                allow_multiple_runs=True,
            )
            self._tracker.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._tracker is not None:
            self._tracker.stop()
            data = self._tracker.final_emissions_data
            self.kwh = float(data.energy_consumed)
            self.text = (
                f"codecarbon {data.codecarbon_version}, whole machine: {data.cpu_model}, "
                f"{data.cpu_count} CPUs, mean {data.cpu_power:.0f} W CPU + {data.ram_power:.0f} W memory + "
                f"{data.gpu_power:.0f} W GPU"
            )
