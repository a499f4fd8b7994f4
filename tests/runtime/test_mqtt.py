"""Answers at a real broker (mosquitto), as a subscriber sees them."""

from __future__ import annotations

import gc
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from runtime.actions.home_assistant import discovery_messages
from runtime.actions.mqtt import PublishAnswers
from runtime.actions.mqtt_target import mqtt_target
from runtime.actions.options import MqttTarget
from runtime.errors import UsageError
from runtime.said import Said
from tests.conftest import ROOT
from tests.runtime.seen import Log, eventually, seen


@pytest.mark.parametrize(
    ("address", "target"),
    [
        ("mqtt://host/a", MqttTarget("host", 1883, "a")),
        ("mqtts://host/home/door/", MqttTarget("host", 8883, "home/door", tls=True)),
        ("mqtt://u:p%40%2F@[::1]:99/%E8%8A%B1", MqttTarget("::1", 99, "花", user="u", password="p@/")),
        ("mqtt://u@host/a", MqttTarget("host", 1883, "a", user="u", password="of the variable")),
        ("mqtt://u:@host/a?discovery=", MqttTarget("host", 1883, "a", user="u", password="", discovery="")),
        ("mqtt://host/a?discovery=ha/x", MqttTarget("host", 1883, "a", discovery="ha/x")),
    ],
)
def test_addresses(address: str, target: MqttTarget, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MQTT_PASSWORD", "of the variable")
    assert mqtt_target(address) == target
    assert "password" not in repr(mqtt_target(address))


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("host/a", "mqtt://host/topic or mqtts://host/topic is expected"),
        ("http://host/a", "mqtt://host/topic or mqtts://host/topic is expected"),
        ("mqtt:///a", "mqtt://host/topic or mqtts://host/topic is expected"),
        ("mqtt://host", "a topic is missing, as in mqtt://host/home/door"),
        ("mqtt://host//", "a topic is missing"),
        ("mqtt://host/a/%23", "a/# is no topic to publish under"),
        ("mqtt://host/a+b", "is no topic to publish under"),
        ("mqtt://host/a%00b", "is no topic to publish under"),
        ("mqtt://host/" + "x" * 65_500, "is no topic to publish under"),
        ("mqtt://host:99999/a", "the port must be a number from 0 to 65535"),
        ("mqtt://host:x/a", "the port must be a number from 0 to 65535"),
        ("mqtt://host:x#secret/a", "# has a meaning in topics"),
        ("mqtt://host:secret?/a", "the port must be a number"),
        ("mqtt://host/home/#", "# has a meaning in topics"),
        ("mqtt://host/home/+/door", r"home/\+/door is no topic to publish under"),
        ("mqtt://host/a?discovery=+", "discovery=PREFIX is known"),
        ("mqtt://[::1/a", "Invalid IPv6 URL"),
        ("mqtt://host/a?qos=1", "behind [?] only discovery=PREFIX is known"),
    ],
)
def test_addresses_that_are_none(address: str, message: str) -> None:
    with pytest.raises(UsageError, match=f"--mqtt: .*{message}"):
        mqtt_target(address.replace("//", "//name:secret@", 1))
    with pytest.raises(UsageError) as caught:
        mqtt_target(address.replace("//", "//name:secret@", 1))
    assert "secret" not in str(caught.value)


def test_discovery() -> None:
    messages = discovery_messages("homeassistant", "home/花 door")
    assert len(messages) == 2
    for topic, message in messages.items():
        assert all(c.isascii() and (c.isalnum() or c in "_-/") for c in topic)
        content = json.loads(message)
        assert content["state_topic"] == "home/花 door/state"
        assert content["availability_topic"] == "home/花 door/availability"
        assert content["unique_id"].isascii()
    assert len({json.loads(message)["unique_id"] for message in messages.values()}) == 2
    assert not messages.keys() & discovery_messages("homeassistant", "home/花_door").keys()


class Broker:
    """A mosquitto that can be ended and started again, and all that is published there."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = int(free.getsockname()[1])
        self._config = folder / "mosquitto.conf"
        self._config.write_text(f"listener {self.port} 127.0.0.1\nallow_anonymous true\n")
        self._folder = folder
        self.messages: list[tuple[str, str]] = []
        self.start()
        client = pytest.importorskip("paho.mqtt.client")
        self._client = client.Client(client.CallbackAPIVersion.VERSION2)
        self._client.reconnect_delay_set(1, 1)
        self._client.on_message = lambda _c, _d, m: self.messages.append((m.topic, m.payload.decode()))
        self.subscribed = 0
        self._client.on_connect = lambda c, *_rest: c.subscribe("#")

        def subscribed(*_rest: Any) -> None:
            self.subscribed += 1

        self._client.on_subscribe = subscribed
        self._client.connect_async("127.0.0.1", self.port)
        self._client.loop_start()
        assert eventually(lambda: self.subscribed)

    def start(self) -> None:
        command = [_mosquitto() or "mosquitto", "-c", str(self._config)]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

        def listens() -> bool:
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", self.port)) == 0

        assert eventually(listens)

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()
        self.stop()

    def of(self, topic: str) -> list[str]:
        """All messages of one topic so far."""
        return [message for name, message in self.messages if name == topic]

    def target(self, **options: Any) -> MqttTarget:
        return MqttTarget("127.0.0.1", self.port, "home/door", **options)


def _mosquitto() -> str | None:
    return shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    pytest.importorskip("paho.mqtt.client")
    if _mosquitto() is None:
        pytest.skip("mosquitto is not installed (Debian: apt install mosquitto)")
    with closing(Broker(tmp_path)) as running:
        yield running


def test_answers_arrive(broker: Broker) -> None:
    log = Log()
    with closing(PublishAnswers(broker.target(), Said(log, "--mqtt"))) as action:
        action.handle(seen("向日葵", number=1))  # before it is connected, perhaps
        assert eventually(lambda: broker.of("home/door/state"))
        action.handle(seen("向日葵", number=2, changed=False))  # nothing new
        action.handle(seen(number=3))
        assert eventually(lambda: len(broker.of("home/door/state")) == 2)
    first, second = map(json.loads, broker.of("home/door/state"))
    assert first == {
        "time": "2026-03-01T09:30:00.125Z",
        "frame": 1,
        "label": "向日葵",
        "labels": ["向日葵"],
        "score": 0.75,
        "unknown": False,
        "predictions": {"向日葵": 0.75, "cat": 0.125, "dog": 0.125},
    }
    assert (second["frame"], second["label"], second["unknown"]) == (3, "unknown", True)
    assert eventually(lambda: broker.of("home/door/availability")[-1:] == ["offline"])
    assert broker.of("home/door/availability") == ["online", "offline"]
    announced = [topic for topic, _ in broker.messages if topic.startswith("homeassistant/sensor/")]
    assert sorted(topic.rsplit("/", 2)[1] for topic in announced) == ["label", "score"]
    assert log.lines == ["--mqtt: connected"]


def test_a_broker_that_comes_back_is_told_the_newest_answer(broker: Broker) -> None:
    log = Log()
    with closing(PublishAnswers(broker.target(discovery=""), Said(log, "--mqtt"))) as action:
        action.handle(seen("cat", number=1))
        assert eventually(lambda: broker.of("home/door/state"))
        broker.stop()
        assert eventually(lambda: len(log.lines) == 2)
        for number in range(2, 200):  # goes on, and queues nothing
            action.handle(seen("dog" if number % 2 else "cat", number=number))
        broker.messages.clear()
        seen_before = broker.subscribed
        broker.start()
        assert eventually(lambda: broker.subscribed > seen_before and broker.of("home/door/state"))
        assert eventually(lambda: broker.of("home/door/availability"))
        assert [json.loads(message)["frame"] for message in broker.of("home/door/state")] == [199]
        assert not [topic for topic, _ in broker.messages if topic.startswith("homeassistant")]
    assert log.lines[0] == "--mqtt: connected"
    assert log.lines[1].startswith("--mqtt: the connection is lost (")
    assert "trying again" in log.lines[1]


def test_a_broker_that_was_never_there() -> None:
    pytest.importorskip("paho.mqtt.client")
    log = Log()
    with socket.socket() as taken:  # bound, but nobody listens
        taken.bind(("127.0.0.1", 0))
        target = MqttTarget("127.0.0.1", taken.getsockname()[1], "a")
        with closing(PublishAnswers(target, Said(log, "--mqtt"))) as action:
            action.handle(seen("cat"))
            assert eventually(lambda: log.lines)
    assert log.lines == ["--mqtt: the broker cannot be reached: Connection refused; trying again"]


def test_the_last_will_of_a_command_that_was_killed(broker: Broker, clip: Path, colours: Path) -> None:
    url = f"mqtt://127.0.0.1:{broker.port}/home/door"
    command = [sys.executable, "-m", "runtime.cli", "classify", "--camera", str(clip), "--model", str(colours)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    options: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "env": environment}
    with subprocess.Popen([*command, "--realtime", "--mqtt", url], **options) as process:
        assert eventually(lambda: broker.of("home/door/state"))
        process.send_signal(signal.SIGKILL)
    assert eventually(lambda: broker.of("home/door/availability")[-1:] == ["offline"])


def test_a_password(broker: Broker, tmp_path: Path) -> None:
    if shutil.which("mosquitto_passwd") is None:
        pytest.skip("mosquitto_passwd is not installed")
    passwords = tmp_path / "passwords"
    subprocess.run(["mosquitto_passwd", "-c", "-b", str(passwords), "name", "s€cret"], check=True, capture_output=True)
    passwords.chmod(0o644)
    broker.stop()
    broker._config.write_text(
        f"listener {broker.port} 127.0.0.1\nallow_anonymous false\npassword_file {passwords}\nuser root\n"
    )
    broker.start()
    for password, said in (("s€cret", "connected"), ("wrong", "the broker refuses us: Not authorized; trying again")):
        log = Log()
        target = broker.target(user="name", password=password)
        with closing(PublishAnswers(target, Said(log, "--mqtt"))):
            assert eventually(lambda log=log: log.lines)
        assert log.lines == [f"--mqtt: {said}"]


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")  # paho-mqtt forgets the socket of a bad certificate
def test_an_encrypted_connection(broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", str(key), "-out", str(certificate)]
    subject = ["-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    subprocess.run([*made, *subject], check=True, capture_output=True)
    broker.stop()
    broker._config.write_text(
        f"listener {broker.port}\nallow_anonymous true\ncertfile {certificate}\nkeyfile {key}\nuser root\n"
    )
    broker.start()
    for trusted, said in ((certificate, "connected"), (tmp_path / "none", "the broker cannot be reached: ")):
        monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
        log = Log()
        target = MqttTarget("localhost", broker.port, "home/door", tls=True)
        with closing(PublishAnswers(target, Said(log, "--mqtt"))) as action:
            assert eventually(lambda log=log: log.lines)
        assert log.lines[0].startswith(f"--mqtt: {said}")
    assert "certificate verify failed" in log.lines[0]
    action._client.loop_stop()
    del action
    gc.collect()
