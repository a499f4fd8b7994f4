"""``mqtt://user:password@host:port/topic`` to its parts."""

from __future__ import annotations

import os
from urllib.parse import parse_qsl, unquote, urlsplit

from runtime.actions.options import MqttTarget
from runtime.errors import UsageError
from runtime.file_kind import shown

# IANA's registered ports of MQTT and of MQTT over TLS.
_PORTS = {"mqtt": 1883, "mqtts": 8883}
#: Where the password is looked up when the address names a user only: command lines are seen by all users.
PASSWORD_VARIABLE = "MQTT_PASSWORD"  # noqa: S105 - the variable's name
# Bytes: MQTT 3.1.1, 1.5.3.
_LONGEST_TOPIC = 65_535 - 200


def mqtt_target(address: str) -> MqttTarget:
    """The parts of an address.

    Args:
        address: ``mqtt://[user[:password]@]host[:port]/topic[?discovery=PREFIX]``, or ``mqtts://`` for TLS. User,
            password and topic may be percent-encoded.

    Raises:
        UsageError: it is none.
    """
    # The address itself is in no message, nor any part before its host: there may be a password in it.
    if "#" in address:
        raise UsageError(
            "--mqtt: # has a meaning in topics, which none to publish under may hold; in a password write %23"
        )
    try:
        parts = urlsplit(address)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        why = "Invalid IPv6 URL" if "IPv6" in str(error) else "the port must be a number from 0 to 65535"
        raise UsageError(
            f"--mqtt: {why}; mqtt://host/topic is expected, with / @ : ? # in a password as %2F %40 %3A %3F %23"
        ) from None
    if parts.scheme not in _PORTS or not host:
        raise UsageError("--mqtt: mqtt://host/topic or mqtts://host/topic is expected")
    topic = unquote(parts.path).strip("/")
    if not topic:
        raise UsageError(f"--mqtt: a topic is missing, as in mqtt://{shown(host)}/home/door")
    too_long = len(topic.encode("utf-8", "replace")) > _LONGEST_TOPIC
    if any(c in "#+" or not c.isprintable() for c in topic) or too_long:
        raise UsageError(f"--mqtt: {shown(topic[:80])} is no topic to publish under (# and + have a meaning there)")
    settings = dict(parse_qsl(parts.query, keep_blank_values=True))
    discovery = settings.pop("discovery", "homeassistant").strip("/")
    if settings or "+" in parts.query or any(c in "#+" or not c.isprintable() for c in discovery):
        raise UsageError("--mqtt: behind ? only discovery=PREFIX is known (empty for none), without # and +")
    user = unquote(parts.username) if parts.username else None
    password = unquote(parts.password) if parts.password is not None else os.environ.get(PASSWORD_VARIABLE)
    return MqttTarget(
        host, port or _PORTS[parts.scheme], topic, parts.scheme == "mqtts", user, password if user else None, discovery
    )
