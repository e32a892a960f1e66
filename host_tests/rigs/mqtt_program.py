"""The whole firmware/main.py on the host's MicroPython in real time, with MQTT by its own sockets:
what mqtt_board.py runs.

Flow: the soak's stand-ins, whose clock is real -> main.py, with an MqttOutlet -> lines on stdout,
and MQTT.  Of the config, beside the soak's: "settings", as network/settings.py has them, and
"address", the broker's.  Behind each line of telemetry there is {"mqtt": what the outlet tells,
"longest_us": of all its steps}.
"""

# pyright: reportMissingImports=false, reportAttributeAccessIssue=false
# pyright: reportMissingModuleSource=false, reportArgumentType=false
import json
import select
import socket
import sys
import time

root = sys.argv[1]
sys.path[:0] = [root + "/firmware", root + "/boards", root + "/tools/soak"]

import program  # noqa: E402

_ID = "e6614103e7690c2c"


class RealClock(program.Clock):
    """Whose time nobody makes."""

    def __init__(self):
        self._begin = time.ticks_us()
        self._seen = self._whole = 0
        super().__init__(0, 0)

    @property
    def now(self):
        passed = time.ticks_diff(time.ticks_us(), self._begin)
        if passed > 1 << 28:
            self._whole += passed
            self._begin = time.ticks_add(self._begin, passed)
            passed = 0
        return self._whole + passed

    @now.setter
    def now(self, us):
        pass

    def sleep_ms(self, ms):
        time.sleep_ms(ms)


class Timed:
    """An outlet whose steps are timed."""

    def __init__(self, outlet):
        self._outlet = outlet
        self._longest = 0
        self._since = time.ticks_ms()

    @property
    def is_free(self):
        return self._outlet.is_free

    def offer(self, report):
        self._outlet.offer(report)

    def step(self):
        begun = time.ticks_us()
        more = self._outlet.step()
        took = time.ticks_diff(time.ticks_us(), begun)
        if took > self._longest:
            self._longest = took
        if time.ticks_diff(time.ticks_ms(), self._since) > 200:
            self._since = time.ticks_ms()
            said = {"mqtt": self._outlet.told(), "longest_us": self._longest}
            sys.stderr.write(json.dumps(said) + "\n")
        return more

    def break_off(self):
        self._outlet.break_off()


def main():
    config = json.loads(sys.stdin.readline())
    clock = RealClock()
    world = program.World(config, clock)
    world.sampler = program.sampler_for(world, program.Loads(config, len(world.board.SLOTS)))
    program.VfsLfs2.mkfs(world.medium, progsize=config["prog_size"])
    install = program.install

    def with_mqtt(world, cause):
        install(world, cause)
        import threewire.assembly as assembly

        on_board = assembly.on_board
        from threewire.network.mqtt_outlet import MqttOutlet

        outlet = MqttOutlet(
            config["settings"],
            world.board.NAME,
            _ID,
            lambda host, port: (config["address"], port),
            socket,
            select,
            time,
        )

        def on_board_with_mqtt(board):
            firmware = on_board(board)
            firmware.outlets += (Timed(outlet),)
            return firmware

        assembly.on_board = on_board_with_mqtt

    program.install = with_mqtt
    world.boot("power")


main()
