"""What network.json says: each key is checked once, here, on the board and before it goes there.

Flow: tools/provision -> network.json -> SETTINGS -> outlets.

    ssid, key        of the Wi-Fi: 1 to 32 bytes; 8 to 63 printable ASCII characters, or "" for an
                     open one
    hostname         the board's own
    broker, port     of MQTT: a name or an address; without a broker there is none
    user, password   at the broker, or neither
    base, prefix     first part of its topics; of Home Assistant's discovery
    name             the device's, as people read it
    ntp              a name or an address, or false: the time is not asked for
    modbus           TCP port to serve it at, or false
"""

import json

# Where a key is absent.
DEFAULTS = {
    "key": "",
    "hostname": "threewire",
    "broker": "",
    "port": 1883,
    "user": "",
    "password": "",
    "base": "threewire",
    "prefix": "homeassistant",
    "name": "Threewire",
    "ntp": "pool.ntp.org",
    "modbus": False,
}


def read(text):
    """The settings of a file's text, with DEFAULTS where a key is absent. Raises ValueError in one
    line: which key, what would be right; what is there it tells of none, for some are secret."""
    try:
        given = json.loads(text)
    except ValueError:
        given = None
    return checked(given)


def checked(given):
    """Likewise of a mapping."""
    if not isinstance(given, dict):
        raise ValueError('it is no JSON object; it is like {"ssid": "home", "key": "a secret"}')
    for word in given:
        if word not in DEFAULTS and word != "ssid":
            raise ValueError(
                "there is no {!r}; there are ssid, {}".format(word, ", ".join(DEFAULTS))
            )
    if "ssid" not in given:
        raise ValueError("ssid is missing: the name of the Wi-Fi")
    settings = dict(DEFAULTS)
    settings.update(given)
    for word in settings:
        right = _right(word, settings[word])
        if right:
            raise ValueError("{} has to be {}".format(word, right))
    for word, other in (("password", "user"), ("user", "broker")):
        if settings[word] and not settings[other]:
            raise ValueError("{} has to have a {}".format(word, other))
    return settings


# All of it goes by bytes: a character of a text becomes a name, which a chip keeps for ever.
def _right(word, value):
    """What would be right; None where it is."""
    if value is False and word in ("ntp", "modbus"):
        return None
    if word in ("port", "modbus"):
        if type(value) is int and 0 < value < 65536:
            return None
        return "a TCP port, 1 to 65535" + (", or false" if word == "modbus" else "")
    if type(value) is not str:
        return "text, in quotes"
    data = value.encode()
    size = len(data)
    least = min(data + b" ")
    most = max(data + b" ")
    if word == "ssid":
        return None if 0 < size <= 32 and least else "1 to 32 bytes"
    if word == "key":
        if not size or 8 <= size <= 63 and least >= 32 and most < 127:
            return None
        return '8 to 63 printable ASCII characters, or "" for an open network'
    if word == "name":
        return None if 0 < size <= 64 and least >= 32 else "1 to 64 bytes of printable characters"
    if word in ("user", "password"):
        return None if size <= 64 and least else "64 bytes at most"
    if word in ("broker", "ntp"):
        if not size and word == "broker" or is_host(data):
            return None
        return "a name such as pool.ntp.org, or an address such as 192.168.1.4"
    if word == "hostname":
        if size <= 32 and b"." not in data and is_host(data):
            return None
        return "1 to 32 letters, digits and hyphens, not digits alone, no hyphen at an end"
    # base and prefix
    bad = max([data.find(bytes([c])) for c in b'+#$"\\ '])
    if 0 < size <= 64 and least >= 32 and most < 127 and bad < 0:
        if not data.startswith(b"/") and not data.endswith(b"/"):
            return None
    return '1 to 64 printable ASCII characters without blank, +, #, $, ", \\, or / at an end'


def is_host(data):
    """Whether bytes are a host's name, or an address."""
    parts = data.split(b".")
    for part in parts:
        size = len(part)
        if not 0 < size <= 63 or part[0] == 45 or part[size - 1] == 45:
            return False
        for c in part:
            # - 0 to 9 A to Z a to z
            if c != 45 and not (48 <= c < 58 or 65 <= c < 91 or 97 <= c < 123):
                return False
    return len(data) <= 253 and (is_address(data) or not parts[-1].isdigit())


def is_address(data):
    """Whether bytes are an IPv4 address in digits; a 0 before others would make them octal."""
    parts = data.split(b".")
    for part in parts:
        if not (part.isdigit() and len(part) <= 3 and int(part) < 256):
            return False
        if part[0] == 48 and len(part) > 1:
            return False
    return len(parts) == 4
