"""Answers to an MQTT broker."""

from __future__ import annotations

import json
import sys
import threading
import time
from typing import Any

from runtime.actions.action import Seen
from runtime.actions.appearing import holding, score_of
from runtime.actions.home_assistant import discovery_messages
from runtime.actions.options import MqttTarget
from runtime.errors import MissingPackageError, one_line
from runtime.results import utc_time
from runtime.said import Said

# Seconds between two messages while the labels stay as they are: the score moves, and a broker that has lost what it
# retained gets it again.
_PAUSE = 10.0
# Seconds: one attempt to connect, the pauses between attempts, the ping that shows that the broker is still there, and
# the wait for the last words.
_CONNECT, _RETRY, _KEEP_ALIVE, _LAST = 5.0, (1, 60), 30, 0.3


class PublishAnswers:
    """Publishes answers under a topic, on the threads of paho-mqtt.

    ``TOPIC/state`` is the answer as JSON, retained; ``TOPIC/availability`` is ``online``, or ``offline`` after the end
    and, as the broker's last will, after a crash. While the broker is away nothing is queued: when it is back it is
    told the newest answer.

    Args:
        target: broker and topic.
        said: told what happens to the connection.

    Raises:
        MissingPackageError: paho-mqtt is not installed.
    """

    def __init__(self, target: MqttTarget, said: Said) -> None:
        self._target, self._said = target, said
        self._lock = threading.Lock()
        self._state: str | None = None
        self._published_at = 0.0
        self._connected = self._closing = False
        self._gone = threading.Event()
        self._client = self._make_client(_import_paho())
        self._client.connect_async(target.host, target.port, keepalive=_KEEP_ALIVE)
        self._client.loop_start()

    def handle(self, seen: Seen) -> None:
        """Publish the answer, if the labels changed or it is time to."""
        now = time.monotonic()
        if not seen.changed and now - self._published_at < _PAUSE:
            return
        self._published_at = now
        with self._lock:
            self._state = state_of(seen)
            if self._connected:
                self._publish("state", self._state)

    def close(self) -> None:
        """Say that nobody publishes any more, and disconnect; an unreachable broker is not waited for."""
        with self._lock:
            self._closing = True
            connected = self._connected
            if connected:
                self._publish("availability", "offline")
        self._client.disconnect()
        if connected:
            self._gone.wait(_LAST)
        # Not `loop_stop`, which waits for a connection attempt to end; the thread ends with its connection.

    def _make_client(self, paho: Any) -> Any:
        target = self._target
        client = paho.Client(paho.CallbackAPIVersion.VERSION2)
        client.on_connect, client.on_disconnect = self._on_connect, self._on_disconnect
        client.on_connect_fail = self._on_connect_fail
        client.connect_timeout = _CONNECT
        client.reconnect_delay_set(*_RETRY)
        client.will_set(f"{target.topic}/availability", "offline", retain=True)
        if target.user is not None:
            client.username_pw_set(target.user, target.password)
        if target.tls:
            client.tls_set()
        return client

    def _publish(self, name: str, message: str) -> None:
        self._client.publish(f"{self._target.topic}/{name}", message, retain=True)

    def _on_connect(self, _client: Any, _data: Any, _flags: Any, code: Any, _properties: Any) -> None:
        if code.is_failure:
            self._said.say(f"the broker refuses us: {code}; trying again")
            return
        with self._lock:
            if self._closing:
                return
            self._connected = True
            if self._target.discovery:
                for topic, message in discovery_messages(self._target.discovery, self._target.topic).items():
                    self._client.publish(topic, message, retain=True)
            self._publish("availability", "online")
            if self._state is not None:
                self._publish("state", self._state)
        self._said.forget()  # what went wrong is over
        self._said.say("connected")

    def _on_disconnect(self, _client: Any, _data: Any, _flags: Any, code: Any, _properties: Any) -> None:
        with self._lock:
            lost = self._connected and not self._closing
            self._connected = False
        if lost:
            self._said.say(f"the connection is lost ({code}); trying again")
        self._gone.set()

    def _on_connect_fail(self, _client: Any, _data: Any) -> None:
        if not self._closing:
            error = sys.exc_info()[1]  # paho-mqtt calls this where it has caught it, and says nothing of it
            why = f": {one_line(getattr(error, 'strerror', None) or error)}" if error is not None else ""
            self._said.say(f"the broker cannot be reached{why}; trying again")


def state_of(seen: Seen) -> str:
    """An answer as JSON. The source is not in it: a camera's address may hold its password."""
    label = holding(seen)[0]
    return json.dumps(
        {
            "time": utc_time(seen.frame.time),
            "frame": seen.frame.number,
            "label": label,
            "labels": list(seen.answer.labels),
            "score": round(score_of(seen, label), 4),
            "unknown": seen.answer.unknown,
            "predictions": {guess.label: round(guess.score, 4) for guess in seen.answer.predictions},
        },
        ensure_ascii=False,
    )


def _import_paho() -> Any:
    try:
        from paho.mqtt import client
    except ModuleNotFoundError as error:
        raise MissingPackageError(
            "--mqtt needs paho-mqtt, which is not installed: pip install 'edge-export-toolkit[mqtt]'"
        ) from error
    if not hasattr(client, "CallbackAPIVersion"):
        raise MissingPackageError("--mqtt needs paho-mqtt 2.0 or newer: pip install 'edge-export-toolkit[mqtt]'")
    return client
