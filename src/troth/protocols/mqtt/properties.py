"""Properties of MQTT 5.0 packets as one value (table 2-4). Knows neither bytes nor which packet may carry which."""

from typing import Final, NamedTuple


class Properties(NamedTuple):
    """What a packet of MQTT 5.0 says beside its fields; None, or no item, is what it does not say.

    Numbers are in the units of the standard: seconds and bytes. The standard's bytes of 0 or 1 are booleans, but for
    `maximum_qos`. A named tuple and no dataclass, because a message may have some, and then one is made for it.
    """

    payload_is_text: bool | None = None
    message_expiry_s: int | None = None
    content_type: str | None = None
    response_topic: str | None = None
    correlation_data: bytes | None = None
    subscription_ids: tuple[int, ...] = ()
    session_expiry_s: int | None = None
    assigned_client_id: str | None = None
    server_keep_alive_s: int | None = None
    authentication_method: str | None = None
    authentication_data: bytes | None = None
    request_problem_information: bool | None = None
    will_delay_s: int | None = None
    request_response_information: bool | None = None
    response_information: str | None = None
    server_reference: str | None = None
    reason_string: str | None = None
    receive_maximum: int | None = None
    topic_alias_maximum: int | None = None
    topic_alias: int | None = None
    maximum_qos: int | None = None
    retain_available: bool | None = None
    user_properties: tuple[tuple[str, str], ...] = ()
    maximum_packet_size: int | None = None
    wildcard_subscription_available: bool | None = None
    subscription_identifier_available: bool | None = None
    shared_subscription_available: bool | None = None


NO_PROPERTIES: Final = Properties()
"""What a packet of 3.1.1 has, and one of 5.0 whose properties have no length. `Reader` gives this very value then."""

SESSION_NEVER_EXPIRES: Final = 0xFFFF_FFFF
"""The session expiry that stands for ever (section 3.1.2.11.2)."""
