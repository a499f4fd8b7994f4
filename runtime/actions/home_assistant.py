"""What Home Assistant must be told to show our answers by itself."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any


def discovery_messages(prefix: str, topic: str) -> dict[str, str]:
    """Topics and messages, JSON, that announce a sensor for the label and one for its score.

    Args:
        prefix: on which Home Assistant listens, ``homeassistant`` unless it was set otherwise there.
        topic: under which we publish ``state`` and ``availability``.

    Source: https://www.home-assistant.io/integrations/mqtt/#mqtt-discovery
    """
    digest = hashlib.sha256(topic.encode()).hexdigest()[:8]
    node = f"{re.sub(r'[^A-Za-z0-9_-]', '_', topic)[:40]}_{digest}"
    device = {"identifiers": [f"edge_classifier_{node}"], "name": topic, "model": "runtime classify"}
    sensors: dict[str, dict[str, Any]] = {
        # A state longer than 255 characters is refused there.
        "label": {
            "name": "Label",
            "icon": "mdi:image-search",
            "value_template": "{{ value_json.label[:255] }}",
            "json_attributes_topic": f"{topic}/state",
        },
        "score": {
            "name": "Score",
            "icon": "mdi:percent",
            "value_template": "{{ (value_json.score * 100) | round(1) }}",
            "unit_of_measurement": "%",
            "state_class": "measurement",
        },
    }
    shared = {"state_topic": f"{topic}/state", "availability_topic": f"{topic}/availability", "device": device}
    return {
        f"{prefix}/sensor/{node}/{name}/config": json.dumps(
            sensor | shared | {"unique_id": f"edge_classifier_{node}_{name}"}, ensure_ascii=False
        )
        for name, sensor in sensors.items()
    }
