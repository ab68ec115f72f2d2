"""What it means to a device that a server answers CONNECT with a no (OASIS MQTT 3.1.1, table 3.1)."""

from collections.abc import Mapping
from typing import Final

from troth.errors import Fault, Kind
from troth.protocols.mqtt import ConnackCode

_REFUSALS: Final[Mapping[ConnackCode, tuple[Kind, str]]] = {
    ConnackCode.UNACCEPTABLE_PROTOCOL_VERSION: (Kind.UNSUPPORTED, "it does not take MQTT 3.1.1"),
    ConnackCode.IDENTIFIER_REJECTED: (Kind.REJECTED, "it does not take this client identifier"),
    ConnackCode.SERVER_UNAVAILABLE: (Kind.UNAVAILABLE, "it is not available now"),
    ConnackCode.BAD_USER_NAME_OR_PASSWORD: (Kind.UNAUTHENTICATED, "user name or password are wrong"),
    ConnackCode.NOT_AUTHORIZED: (Kind.FORBIDDEN, "this device may not connect so"),
}

# The server tells a stranger no more than that; the home's operator finds the reason.
_NOT_AUTHORIZED: Final = (
    "its certificate may be revoked, or its policy may not allow iot:Connect with this client id; "
    "at home: troth decision list --denied"
)


class Refused(Fault):
    """The server answered CONNECT with the return code `code`, which is not 0."""

    def __init__(self, code: ConnackCode) -> None:
        kind, words = _REFUSALS[code]
        hint = _NOT_AUTHORIZED if code is ConnackCode.NOT_AUTHORIZED else None
        super().__init__(kind, f"the server refused the connection: {words} (CONNACK {code:d})", hint=hint)
        self.code = code
