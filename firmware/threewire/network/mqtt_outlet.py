"""MQTT: the outlet that publishes the state once a second, and tells Home Assistant of the board;
and the load profile, where there is one.

Flow: report -> MQTT OUTLET (topics.py) -> mqtt_client.py -> broker.
"""

from micropython import const

from threewire.network import topics
from threewire.network.mqtt_client import MqttClient
from threewire.transient import let_go
from threewire.version import VERSION

_UNIX_FROM_2000 = const(946684800)


class MqttOutlet:
    """settings   a dict as settings.py makes it: broker, port, user, password, base, prefix, name
    board      the board file's name
    board_id   the chip's own number, in hexadecimal digits
    address    (host, port) -> (numeric address, port), or None while there is none
    socket, select, clock   as MqttClient has them; clock has gmtime as well
    profile    LoadProfile, or None
    """

    def __init__(self, settings, board, board_id, address, socket, select, clock, profile=None):
        self._settings = settings
        self._board = board
        self._key = board_id
        self._clock = clock
        self._utc = self._quarters = None
        base = settings["base"]
        if profile:
            from threewire.network.mqtt_profile import ProfileTopic

            self._utc = profile.utc
            where = topics.topic(base, board_id, "profile")
            self._quarters = ProfileTopic(where, profile, self._iso)
        self._state_topic = topics.topic(base, board_id, "state")
        self._availability = topics.topic(base, board_id, "availability")
        broker = settings["broker"], settings["port"]
        self._client = MqttClient(
            socket,
            select,
            clock,
            lambda: address(*broker),
            # Its end differs from board to board; 23 characters any broker takes.
            "threewire-" + board_id[-12:],
            (self._availability, topics.OFFLINE),
            settings["user"],
            settings["password"],
        )
        self._next = None  # State
        self._session = 0
        self._told = 0  # in this session: of discovery and availability
        self._dropped = 0

    @property
    def is_free(self):
        """Whether it takes a report now."""
        return self._client.is_up

    def offer(self, report):
        """Publishes it next; one that has not been begun by then is dropped."""
        if self._next:
            self._dropped += 1
        self._next = topics.State(report, self._time())

    def step(self):
        client = self._client
        if client.is_idle:
            if self._session != client.sessions:
                self._session = client.sessions
                self._told = 0
            if self._told == 0:
                client.publish(
                    topics.config_topic(self._settings["prefix"], self._key), self._of_it
                )
                self._told = 1
            elif self._told == 1:
                client.publish(self._availability, lambda: (topics.ONLINE,))
                self._told = 2
            elif self._quarters and self._quarters.publish(client):
                pass  # the state is next
            elif self._next:
                client.publish(self._state_topic, self._next.pieces)
                self._next = None
        elif self._next and not client.is_up:
            self._next = None
            self._dropped += 1
        return client.step()

    def break_off(self):
        """What crashed begins anew with another connection."""
        self._next = None
        self._client.close()

    def told(self):
        """What the console tells."""
        client = self._client
        return {
            "mqtt": client.why,
            "mqtt_sessions": client.sessions,
            "mqtt_dropped": self._dropped + client.dropped,
        }

    def _of_it(self):
        # Once for each connection: until the next its code is garbage.
        from threewire.network.discovery import discovery

        pieces = discovery(
            self._key,
            self._settings["name"],
            self._board,
            VERSION,
            self._key,
            ("Threewire", VERSION),
            (self._availability,),
            self._state_topic,
        )
        del discovery
        let_go("threewire.network.discovery")
        for piece in pieces:
            yield piece.encode()

    def _time(self):
        seconds = self._utc and self._utc.at()
        return None if seconds is None else self._iso(seconds)

    def _iso(self, seconds):
        gmtime = self._clock.gmtime
        if gmtime(0)[0] == 2000:
            seconds -= _UNIX_FROM_2000
        return "%04d-%02d-%02dT%02d:%02d:%02d+00:00" % gmtime(seconds)[:6]
