"""The two policies of this home, in the language of AWS IoT: one for devices, one for the home service."""

import json
from collections.abc import Sequence
from typing import Final

from troth.names import Realm

_REALM: Final = Realm()
WHAT_DEVICES_SAY: Final = ("reading", "status", "meter")
"""The last levels of the topics that all devices have."""
_OWN: Final = "${iot:Connection.Thing.ThingName}"


def _allow(sid: str, actions: Sequence[str], *resources: tuple[str, str]) -> dict[str, object]:
    arns = [_REALM.arn(kind, name) for kind, name in resources]
    return {"Sid": sid, "Effect": "Allow", "Action": list(actions), "Resource": arns}


def _signed(sid: str, *resources: tuple[str, str]) -> dict[str, object]:
    arns = [_REALM.arn(kind, name) for kind, name in resources]
    unsigned = {"Bool": {"troth:MessageSigned": "false"}}
    return {"Sid": sid, "Effect": "Deny", "Action": ["iot:Publish"], "Resource": arns, "Condition": unsigned}


def _document(*statements: dict[str, object]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)}, indent=2)


DEVICE: Final = _document(
    _allow("ConnectAsItself", ["iot:Connect"], ("client", _OWN)),
    _allow("SpeakForItself", ["iot:Publish"], ("topic", f"home/{_OWN}/*")),
    _allow(
        "HearItsOwn", ["iot:Subscribe", "iot:Receive"], ("topicfilter", f"home/{_OWN}/*"), ("topic", f"home/{_OWN}/*")
    ),
    _signed("SignWhatIsMetered", ("topic", "home/*/meter")),
)
"""One document for every device: the name in it is that of the thing whose certificate was shown."""

HOME_SERVICE: Final = _document(
    _allow("ConnectAsItself", ["iot:Connect"], ("client", _OWN)),
    _allow("SubscribeToAll", ["iot:Subscribe"], *(("topicfilter", f"home/+/{each}") for each in WHAT_DEVICES_SAY)),
    _allow("HearAll", ["iot:Receive"], ("topic", "home/*")),
    _allow("CommandAll", ["iot:Publish"], ("topic", "home/*/command")),
)
