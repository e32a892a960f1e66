"""Calls of the firmware's functions in machine code, which native_held compares.

Flow: native_kernel_jobs, native_word_jobs, native_board_jobs -> NATIVE JOBS -> tests.  Of each
module there is one job, which calls all its functions, or it is one of native_meter's RUNS, or its
methods are.  A job calls them at random, and with what they get in a meter that meters.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from host_tests.rigs import native_board_jobs as board_jobs
from host_tests.rigs import native_kernel_jobs as kernel_jobs
from host_tests.rigs import native_word_jobs as word_jobs
from host_tests.rigs.native_held import Held

Job = Callable[[Held, Random], None]

# Of each module whose functions are called one by one: the job, and what its names stand for where
# this Python cannot import it.
CALLED: dict[str, tuple[Job, dict[str, Any] | None]] = {
    "chip/code_in_flash": (board_jobs.code_in_flash_job, {}),
    "chip/dma_sampler": (board_jobs.dma_sampler_job, {"ticks_us": board_jobs.CLOCK.ticks_us}),
    "chip/raster": (board_jobs.raster_job, None),
    "chip/serial_port": (board_jobs.serial_port_job, {}),
    "chip/timer_sampler": (board_jobs.timer_sampler_job, {"ticks_us": board_jobs.CLOCK.ticks_us}),
    "metering/cycles": (kernel_jobs.cycles_job, None),
    "metering/doctor": (word_jobs.shift_job, None),
    "metering/fill": (kernel_jobs.fill_job, None),
    "metering/intmath": (word_jobs.intmath_job, None),
    "metering/kernel": (kernel_jobs.kernel_job, None),
    "metering/kernel_thumb": (kernel_jobs.kernel_loops_job, {}),
    "metering/kernel_viper": (kernel_jobs.kernel_loops_job, None),
    "metering/look_thumb": (kernel_jobs.look_job, {}),
    "metering/look_viper": (kernel_jobs.look_job, None),
    "metering/reactive_thumb": (word_jobs.reactive_job, {}),
    "metering/reactive_viper": (word_jobs.reactive_job, None),
    "metering/wide": (word_jobs.wide_job, None),
    "metering/window_thumb": (word_jobs.window_job, {}),
    "metering/window_viper": (word_jobs.window_job, None),
    "metering/window_words": (word_jobs.window_words_job, None),
    "metering/words_thumb": (word_jobs.words_thumb_job, {}),
    "metering/words_viper": (word_jobs.words_viper_job, None),
    "operation/capture": (word_jobs.capture_job, None),
    "operation/firmware": (board_jobs.firmware_job, {"id": board_jobs.place_in_heap}),
    "operation/modbus_rtu": (board_jobs.modbus_rtu_job, None),
    "operation/telemetry": (word_jobs.telemetry_job, None),
}
