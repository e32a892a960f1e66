"""The load profile on MQTT: each quarter of an hour when it is over, and upon each connection the
newest that there is.

Flow: load profile -> MQTT PROFILE -> mqtt_outlet.py, which publishes it.
"""

from micropython import const

_S = const(900)


class ProfileTopic:
    """topic    str
    profile  LoadProfile
    iso      (Unix seconds) -> ISO 8601
    """

    def __init__(self, topic, profile, iso):
        self._topic = topic
        self._profile = profile
        self._iso = iso
        self._told = None  # in which of the client's sessions, and the quarter

    def publish(self, client):
        """Begins a message of an MqttClient that is idle, where one is due; returns whether."""
        newest = self._profile.newest
        if self._told == (client.sessions, newest):
            return False
        self._told = client.sessions, newest
        try:
            found = self._profile.read(newest)
        except OSError:
            found = None  # it is the next one's turn
        if not found:
            return False
        from threewire.operation.profile_text import text

        # As the console has it, but for the time.
        rest = text((newest,) + found).partition(",")[2]
        said = ('{"from":"%s",%s' % (self._iso(newest * _S), rest)).encode()
        client.publish(self._topic, lambda: (said,))
        return True
