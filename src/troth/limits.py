"""Every bound of the product, by name. Units and ``_max`` or ``_min`` come last in a name.

Module constants bound what is parsed and cannot be set. `Limits` holds what an operator may set under ``[limits]``.
"""

from dataclasses import dataclass
from typing import Final

KIB: Final = 1024

# Names (AWS IoT service model: thing, policy and type names have up to 128 characters).
NAME_CHARS_MAX: Final = 128
ATTRIBUTE_NAME_CHARS_MAX: Final = 128
ATTRIBUTE_VALUE_CHARS_MAX: Final = 800
THING_ATTRIBUTES_MAX: Final = 50
"""Of a group, too."""
GROUP_DEPTH_MAX: Final = 7
"""Levels of thing groups (AWS: 7)."""
GROUPS_PER_THING_MAX: Final = 10
"""Groups that one thing is in, those above them not counted (AWS: 10); all of them are loaded when it connects."""
GROUP_DESCRIPTION_CHARS_MAX: Final = 2028
"""As on AWS."""

# Certificates and requests. A P-256 request is about 300 bytes, an ML-DSA-87 one about 7.5 KiB.
CSR_BYTES_MAX: Final = 16 * KIB
CERTIFICATE_BYTES_MAX: Final = 32 * KIB
CHAIN_CERTIFICATES_MAX: Final = 10
PATH_LINKS_MAX: Final = 64
"""Links between certificates that one search for a path looks at."""
KEY_FILE_BYTES_MAX: Final = 64 * KIB
ALTERNATIVE_NAMES_MAX: Final = 100
PROFILE_CHARS_MAX: Final = 16 * KIB
PROFILE_BACKDATE_S_MAX: Final = 7 * 86_400
PROFILE_VALIDITY_S_MAX: Final = 50 * 365 * 86_400
PROFILE_GRACE_S_MAX: Final = 5 * 365 * 86_400
# Nobody asks whether an OCSP signer is revoked (RFC 6960, 4.2.2.2.1), so that one which was stolen answers this long.
OCSP_SIGNER_VALIDITY_S_MAX: Final = 7 * 86_400

# OCSP requests. A CertID with SHA-256 has some 100 bytes, a signature over it all with its certificates a few thousand.
OCSP_REQUEST_BYTES_MAX: Final = 8 * KIB
OCSP_CERTIFICATES_MAX: Final = 32
OCSP_NONCE_BYTES_MAX: Final = 128
"""Octets of a nonce (RFC 9654, 2.1)."""

# What opening a key file may cost, whatever the file says: memory for scrypt, rounds of work for both functions.
KEY_SCRYPT_BYTES_MAX: Final = 256 * KIB * KIB
KEY_SCRYPT_WORK_MAX: Final = 1 << 23
KEY_PBKDF2_ROUNDS_MAX: Final = 10_000_000

# Keys in tokens. A URI stands in the registry as a key's name; a call that takes longer counts as a token that hangs.
PKCS11_URI_CHARS_MAX: Final = 128
PKCS11_PIN_BYTES_MAX: Final = 256
PKCS11_CALL_S_MAX: Final = 10.0

# Policy documents. AWS counts 2,048 characters without white space and takes up to 404,600 raw ones.
POLICY_DOCUMENT_CHARS_MAX: Final = 404_600
POLICIES_PER_TARGET_MAX: Final = 10
POLICY_VERSIONS_MAX: Final = 5
POLICY_REQUESTS_BYTES_MAX: Final = 64 * KIB * KIB
"""Bytes of a file of requests or decided cases that people put to policies."""
LINT_COMPARISONS_MAX: Final = 100_000
"""Pairs of resources of one document that are compared to find statements which others cover."""
SAMPLED_REQUESTS_MAX: Final = 5_000
"""Requests that are made up to compare two policies."""
MATCHED_TEXT_CHARS_MAX: Final = 65_535 + 256
CERTIFICATE_ATTRIBUTE_VALUES_MAX: Final = 5
"""Values of one certificate attribute that policy can see; AWS ignores further ones."""
SUBSTITUTED_CHARS_MAX: Final = 1024
"""Characters of a certificate attribute that a policy variable can stand for (AWS: 1,024)."""
DECISIONS_CACHED_MAX: Final = 512
"""Decisions that one grant remembers, for each of publish, subscribe, receive and retain."""
DECISION_CACHED_CHARS_MAX: Final = 128
"""Characters of the longest topic whose decision a grant remembers."""
POLICY_SETS_KEPT_MAX: Final = 1024
"""Sets of policies that one worker keeps compiled beside those of its live connections."""

# MQTT: what the wire format itself can say.
MQTT_REMAINING_LENGTH_MAX: Final = 268_435_455
MQTT_STRING_BYTES_MAX: Final = 65_535
MQTT_TOPICS_KNOWN_MAX: Final = 64
"""Topic names that a reader of one connection remembers as checked."""
MQTT_TOPIC_KNOWN_BYTES_MAX: Final = 128
"""Bytes of the longest topic name that it remembers."""
MQTT_PROPERTIES_MAX: Final = 1024
"""Properties of one MQTT 5.0 packet, user properties and all."""
MQTT_FILTERS_MAX: Final = 1024
"""Topic filters of one SUBSCRIBE or UNSUBSCRIBE; `Limits` has a lower bound, past which they are refused one by one."""
MQTT_TOPIC_ALIASED_BYTES_MAX: Final = 1024
"""Bytes of a topic name that a topic alias may stand for."""
NATS_TOPIC_BYTES_MAX: Final = 32_000
"""Bytes of a topic name or filter that goes to NATS. It writes a dot as two bytes, and acknowledges and then loses what
it would have to keep under a subject of more than about 65,000."""

# The database.
DATABASE_CONNECTIONS_MAX: Final = 16
"""Connections that one process holds to its database."""
DATABASE_CONNECTION_WAIT_S_MAX: Final = 5.0
"""Longest wait for one of them, and for a server to take a new one."""
DATABASE_SILENCE_S_MAX: Final = 10.0
"""Longest silence of a database server before its connection counts as lost."""
WRITE_WAIT_S_MAX: Final = 10.0
"""Longest wait of a writer for its turn; then it is told to come again."""
LIST_ROWS_MAX: Final = 1000
"""Rows of one page of any list."""
THINGS_PER_CERTIFICATE_MAX: Final = 50
"""Things one certificate may be attached to; all of them are loaded when it connects."""
ISSUERS_MAX: Final = 1000
"""Certification authorities of one home."""
DECISION_TEXT_CHARS_MAX: Final = 1280
"""Characters kept of each text of a decision; what is longer is cut."""

# The journal.
JOURNAL_ENTRY_BYTES_MAX: Final = 256 * KIB
JOURNAL_SIZE_MAX: Final = (1 << 63) - 1
"""Entries that a checkpoint can speak of."""
NOTE_BYTES_MAX: Final = 128 * KIB
"""Bytes of a signed note; a post-quantum signature has up to 5 kB."""
NOTE_SIGNATURES_MAX: Final = 32
NOTE_NAME_CHARS_MAX: Final = 512
ANCHOR_FILE_BYTES_MAX: Final = 32 * KIB * KIB
ANCHOR_NOTES_MAX: Final = 100_000
"""Checkpoints of an anchor file that a verification takes."""
ANCHOR_WAIT_S_MAX: Final = 10.0
"""Longest wait for a place outside to take a checkpoint."""
CHECKPOINTS_KEPT_MAX: Final = 1000
"""Checkpoints that the journal keeps; the oldest go first, and prove nothing that the newest does not."""

# EST (RFC 7030): a request travels in base64.
EST_BODY_BYTES_MAX: Final = 2 * CSR_BYTES_MAX
EST_CERTIFICATES_MAX: Final = 32
"""Certificates in such an answer: two roots and what leads from one to the other, and the issuing CAs of devices."""
EST_CERTIFICATES_BYTES_MAX: Final = 2 * CHAIN_CERTIFICATES_MAX * CERTIFICATE_BYTES_MAX
"""Bytes of an answer with certificates, as the device reads it."""
RENEWAL_INFO_BYTES_MAX: Final = 4 * KIB
PROBLEM_BYTES_MAX: Final = 64 * KIB
"""Bytes of an HTTP answer that tells of a fault, as the one who asked reads it."""
TOKEN_CHARS_MAX: Final = 128

# The authority.
INTENT_AGE_S_MAX: Final = 900
"""An intent to issue that has waited longer is refused: whoever asked has gone, and asks again."""
INTENT_AHEAD_S_MAX: Final = 60
"""How far the clock that wrote an intent may be ahead of the authority's."""
INTENTS_PER_CHANGE_MAX: Final = 256
PRUNED_ROWS_PER_CHANGE_MAX: Final = 500
"""Rows of one kind that one change deletes: others write between two such changes."""
"""Certificates whose conclusions are committed together when several wait."""
CRL_BYTES_KEPT_MAX: Final = 256 * KIB * KIB
"""Bytes of CRLs that one worker keeps ready to be fetched; the least asked for go first."""
CRL_SCOPES_PER_CHANGE_MAX: Final = 64
"""Scopes (an issuer's whole, or a shard) whose CRLs are signed and put in force together."""
REFUSAL_CHARS_MAX: Final = 1000
"""Characters kept of the reason why nothing was signed."""

# Enrollment.
ENROLLMENT_WAIT_S_MAX: Final = 10.0
"""Longest wait of one who enrolls for the authority; the same request finds the answer later."""
ENROLLMENTS_PENDING_MAX: Final = 1000
"""Enrollments under way at once in one worker."""
ENROLLMENTS_PER_CHANGE_MAX: Final = 64
"""Enrollments that one worker begins in one change: others write between two such changes."""
RENEWALS_PER_HOUR_MAX: Final = 10
"""Renewals of one thing within an hour, whatever came of them; a request that is answered again does not count."""
RENEWAL_UNUSED_S_MAX: Final = 14 * 86_400
"""How long a renewed certificate may wait for its first use before it is put out of force."""
RENEWALS_SETTLED_KEPT_MAX: Final = 10_000
"""Renewed certificates that one worker remembers to have looked after."""
REGISTRATION_CODE_S_MAX: Final = 7 * 86_400
"""How long a code is good for that proves possession of a CA's key."""
FOREIGN_CRL_BYTES_MAX: Final = 16 * KIB * KIB
"""Bytes of a CRL of a registered CA."""
CRL_REQUEST_BYTES_MAX: Final = KIB * KIB
"""Bytes of what is carried to the machine that has a root's key: what its next CRL has to say."""
ISSUANCES_PER_ISSUER_PER_HOUR_MAX: Final = 1_000_000
"""Certificates that enrollments have one CA sign within an hour."""
TOKENS_PER_CHANGE_MAX: Final = 1000
"""Tokens that are made in one change; their ids and things fit one entry of the journal."""
REQUESTS_WAITING_MAX: Final = 10_000
"""Requests that wait for a person at once."""
REQUESTS_WAITING_PER_ADDRESS_MAX: Final = 100
"""Those of one address, so that nobody fills the queue alone."""
ENROLLMENT_CHARS_MAX: Final = 64 * KIB
"""Characters of an enrollment's document: an allow-list of some thousand names."""
FIRST_CONNECTIONS_PER_CA_PER_HOUR_MAX: Final = 10_000
"""Certificates of one registered CA that are registered within an hour when their devices connect."""
FIRST_CONNECTIONS_PER_ADDRESS_PER_HOUR_MAX: Final = 1_000
"""Those of one address, behind which a whole site may be."""
PENDING_PER_CA_MAX: Final = 10_000
"""Certificates of one registered CA that wait for an operator at once."""
PENDING_TOLD_AGAIN_S_MIN: Final = 10.0
"""How often at most one worker tells anew of a certificate whose device comes and waits to be activated."""
PENDING_TOLD_KEPT_MAX: Final = 10_000
"""Such certificates that one worker remembers."""
FAILED_PROOFS_PER_MINUTE_MAX: Final = 20
"""Enrollments of one address that one worker lets fail within a minute before it answers no more of them."""
ADDRESSES_WATCHED_MAX: Final = 10_000
"""Addresses whose failures one worker remembers; beyond, the oldest go first."""

# Fleet provisioning over MQTT, templates and bulk registration (AWS: templates of 10,240 characters, lines of 256 KiB).
PROVISIONING_BYTES_MAX: Final = 64 * KIB
"""Bytes of one request or answer: a certification request or a certificate in PEM, and parameters."""
PROVISIONING_PARAMETERS_MAX: Final = 64
PROVISIONING_PARAMETER_CHARS_MAX: Final = 4 * KIB
"""Characters of the name, and of the value, of one parameter."""
PROVISIONING_WAITING_MAX: Final = 8
"""Requests of one connection that wait or are under way; one that sends more is told to come again."""
PROVISIONING_UNDER_WAY_MAX: Final = 256
"""Requests under way at once in one worker."""
PROVISIONING_UNCLAIMED_MAX: Final = 1000
"""Certificates that one claim certificate may have made and not yet made things of."""
OWNERSHIP_S_MAX: Final = 3600
"""How long a certificate that was made by a claim waits for its thing (AWS: one hour)."""
OWNERSHIPS_PER_CHANGE_MAX: Final = 100
"""Certificates that nobody has claimed which one change revokes."""
HOOK_S_MAX: Final = 5.0
"""Longest wait for a pre-provisioning hook (AWS: 5 s)."""
HOOK_ANSWER_BYTES_MAX: Final = 64 * KIB
TEMPLATE_CHARS_MAX: Final = 10_240
TEMPLATE_RESOURCES_MAX: Final = 12
"""Resources of one template: a thing, a certificate and ten policies."""
TEMPLATE_DEPTH_MAX: Final = 8
"""Functions within functions."""
TEMPLATE_VALUE_CHARS_MAX: Final = 64 * KIB
"""Characters of any value that a template comes to."""
IMPORT_LINE_CHARS_MAX: Final = 256 * KIB

# TLS. A handshake is a ClientHello, ten certificates at most, a signature and a MAC; ML-DSA-87 ones have 7.5 KiB each.
TLS_HANDSHAKE_BYTES_MAX: Final = 128 * KIB
# After our last word we listen for the peer's, so that a reset does not overtake what we said (RFC 9112, 9.6).
TLS_LINGER_S: Final = 2.0
TLS_LINGER_BYTES_MAX: Final = 256 * KIB
SERVER_NAMES_MAX: Final = 50
"""Names that a site has beside its first, and certificates that its doors show by name."""
# Before TLS, from a load balancer: 52 bytes for IPv6, and what it adds of its own.
PROXY_HEADER_BYTES_MAX: Final = 2 * KIB

# The gateway.
UPSTREAM_WAIT_S_MAX: Final = 10.0
"""Longest wait for the broker to take a connection, and again for its answer to CONNECT."""
UPSTREAM_WRITE_QUEUE_BYTES_MAX: Final = 64 * KIB
"""Bytes waiting for a slow broker before its device is read no further."""
UPSTREAM_PACKET_BYTES_MAX: Final = 1024 * KIB
"""Bytes of a packet from the broker; more only where devices may send more themselves."""
UPSTREAM_LINGER_S_MAX: Final = 5.0
"""Longest wait for the broker to take what is left of a session that has ended."""
TOPICS_JUDGED_MAX: Final = 256
"""Topics of one connection that are remembered as good for the broker."""
DENIALS_LOGGED_PER_SECOND_MAX: Final = 20
"""Denials of one connection that are logged one by one; the others are counted."""
REFUSALS_TOLD_AT_ONCE_MAX: Final = 100
"""Failed handshakes and refused connections of one worker that are logged and listed in one batch of its report, of
which there are four a second at most; the others are counted."""
REPORT_ROWS_MAX: Final = 10_000
"""Decisions of one worker that wait for the database; the oldest are dropped first."""
CLIENT_IDS_WATCHED_MAX: Final = 20_000
"""Client ids of which one worker remembers when they last connected; beyond, the oldest go first."""
EVENTS_WAITING_MAX: Final = 20_000
"""Events of one worker that wait for the broker; the oldest are dropped first. One has some 500 bytes."""

OCSP_ANSWERS_KEPT_MAX: Final = 20_000
"""OCSP answers, and states of certificates, that one worker keeps; the last asked for stay. An answer has 1 KiB."""
OCSP_LOOKUPS_PENDING_MAX: Final = 256
"""Look-ups for OCSP under way at once in one worker; who comes then is told to try later."""
OCSP_SIGNER_WAIT_S_MAX: Final = 5.0
"""Longest wait for the authority to certify a signer of OCSP answers."""

# Signed readings: the largest packet of the preset, and what a topic and a name may have.
READING_BYTES_MAX: Final = 1024 * KIB
READING_TOPIC_BYTES_MAX: Final = 1024
READING_SEQUENCE_MAX: Final = (1 << 63) - 1
READING_AHEAD_S_MAX: Final = 300
"""How far a device's clock may be ahead of ours when it signs a reading."""
READING_WINDOW: Final = 64
"""Numbers below the highest one that came of which it is remembered whether they came."""
READING_REPEATS: Final = 20
"""Readings of one certificate that are remembered so that they can be sent again (MQTT: what is in flight)."""
READING_SIGNERS_MAX: Final = 16
"""Certificates of one thing whose readings are taken; the newest ones."""
READING_LINE_BYTES_MAX: Final = 2 * READING_BYTES_MAX
"""Bytes of a line of a file of readings, and of a bundle of evidence."""
EVIDENCE_CERTIFICATES_MAX: Final = 100_000
"""Certificates whose readings one bundle of evidence holds."""
EVIDENCE_LINES_MAX: Final = 1_000_000
"""Lines of a bundle before its readings."""

# The device.
DEVICE_SETTINGS_BYTES_MAX: Final = 64 * KIB
DEVICE_STEP_S_MAX: Final = 30.0
"""Longest wait of a device for one step of a conversation: connecting, one read, one answer."""
DEVICE_INBOX_MESSAGES_MAX: Final = 1000
"""Messages that came and were not yet taken; beyond, the connection is given up."""
DEVICE_LINGER_S_MAX: Final = 1.0
"""Longest wait for the server to close after our DISCONNECT."""
RETRY_AFTER_S_MAX: Final = 7 * 86_400
"""Longest time that a server can ask a device to wait."""
DEVICE_BACK_OFF_S_MIN: Final = 1.0
"""What a device waits at most before it tries again what has failed once; twice as long after each further time."""
DEVICE_RECONNECT_S_MAX: Final = 120.0
"""Longest wait between two attempts to connect."""
DEVICE_RETRY_S_MAX: Final = 3600.0
"""Longest wait of its own between two attempts to renew, or to ask the home when that is due."""
DEVICE_LOOK_S_MAX: Final = 600.0
"""Longest sleep of a device's agent: its clock may be set meanwhile."""
DEVICE_ASK_S_MIN: Final = 60.0
DEVICE_ASK_S_MAX: Final = 86_400.0
"""Shortest and longest time that an answer of the home about a renewal is gone by."""
DEVICE_QUEUE_READINGS_MAX: Final = 100_000
"""Readings that wait on a device's disk; more are not taken."""
DEVICE_QUEUE_BYTES_MAX: Final = 64 * KIB * KIB
"""Bytes that they may take on disk, set-aside ones included."""
DEVICE_QUEUE_IN_FLIGHT_MAX: Final = 16
"""Readings that are sent before the first of them is acknowledged."""
DEVICE_QUEUE_ATTEMPTS_MAX: Final = 5
"""Times in a row that the home may end the connection on a reading that is sent alone before it is set aside."""
DEVICE_SET_ASIDE_MAX: Final = 1000
"""Readings set aside that are kept; the oldest go first."""
NEIGHBOUR_LIFE_S_MAX: Final = 2 * 86_400
"""Longest life of a certificate that a device takes from its neighbour: nobody is asked whether it was revoked."""
NEIGHBOURS_AT_ONCE_MAX: Final = 16
"""Connections that a device which listens for its neighbours holds at a time."""
NEIGHBOUR_STEP_S_MAX: Final = 10.0
"""Longest wait for a neighbour's handshake, and for its answer."""
NEIGHBOUR_IDLE_S_MAX: Final = 300.0
"""Longest silence of a neighbour that was let in."""
NEIGHBOUR_LINE_BYTES_MAX: Final = 64 * KIB
"""Bytes of a line between neighbours, its end included."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The bounds that an operator may set; the defaults are the preset ``default``."""

    policy_chars_max: int = 8 * KIB
    """Characters of one policy document, white space not counted (AWS: 2,048)."""
    packet_bytes: int = 256 * KIB
    """Bytes of one MQTT packet, header included."""
    client_id_bytes_max: int = 128
    """Bytes of an MQTT client identifier (AWS: 128)."""
    topic_bytes_max: int = 1024
    """Bytes of a topic name or filter (AWS: 256)."""
    topic_levels_max: int = 128
    """Levels of a topic name or filter, between slashes (AWS: 8). Mosquitto closes the connection beyond 200."""
    filters_per_subscribe_max: int = 64
    """Topic filters in one SUBSCRIBE packet (AWS: 8)."""
    subscriptions_per_connection_max: int = 500
    """Topic filters one connection may hold (AWS: 50)."""
    handshake_s: float = 10.0
    """Seconds from accepted connection to finished TLS handshake."""
    connect_s: float = 10.0
    """Seconds from finished handshake to a complete CONNECT."""
    keep_alive_s_max: int = 1200
    """Longest keep-alive honoured; 0 from a client means this (AWS: 1,200)."""
    receive_max: int = 100
    """Messages of QoS 1 and 2 that a client of MQTT 5 may have under way at once (AWS: 100)."""
    topic_aliases_max: int = 8
    """Topic aliases that a client of MQTT 5 may set (AWS: 8)."""
    write_queue_bytes_max: int = 1024 * KIB
    """Bytes that may wait for a slow reader; beyond 64 KiB no more is fetched. Twice that end its connection."""
    in_flight_bytes_max: int = 256 * KIB * KIB
    """Bytes of unfinished packets and of what waits for slow readers, of all connections of one worker."""
    handshakes_pending_max: int = 1000
    """TLS handshakes under way at once at one door of one worker."""
    handshakes_pending_per_address_max: int = 250
    """Those of one address, or of one /64 of IPv6: more than all devices of a site begin at once."""
    connects_per_address_per_second_max: int = 2000
    """Connections of one address, or of one /64 of IPv6, to one door of one worker; 0 for no bound."""
    connects_per_client_id_per_second_max: int = 100
    """Connections under one client id of one owner to one worker; 0 for no bound (AWS: 1)."""
    messages_per_second_max: int = 0
    """Messages each way of one connection; 0 for no bound (AWS: 100)."""
    throughput_bytes_per_second_max: int = 0
    """Bytes each way of one connection; 0 for no bound (AWS: 512 KiB)."""
    payload_bytes_max: int = 0
    """Bytes of a message's payload from a device; 0 for no bound but the packet's (AWS: 128 KiB)."""
    request_s: float = 30.0
    """Seconds from the first moment that an HTTP request could come to its last byte."""
    connections_max: int = 20_000
    """Connections of one worker."""
    principals_kept_max: int = 10_000
    """Principals that one worker remembers beside those of its live connections."""
    decision_rows_max: int = 100_000
    """Rows kept of the decision log; older ones go first."""
    token_ttl_s_max: int = 90 * 86_400
    """Longest life of an enrollment token."""


MAY_BE_NONE: Final = frozenset(
    {
        "connects_per_address_per_second_max",
        "connects_per_client_id_per_second_max",
        "messages_per_second_max",
        "throughput_bytes_per_second_max",
        "payload_bytes_max",
    }
)
"""The bounds of which 0 means that there is none."""

DEFAULT: Final = Limits()

PRESETS: Final[dict[str, Limits]] = {
    "default": DEFAULT,
    "aws": Limits(
        policy_chars_max=2048,
        packet_bytes=146 * KIB,
        client_id_bytes_max=128,
        topic_bytes_max=256,
        topic_levels_max=8,
        filters_per_subscribe_max=8,
        subscriptions_per_connection_max=50,
        keep_alive_s_max=1200,
        receive_max=100,
        topic_aliases_max=8,
        connects_per_client_id_per_second_max=1,
        messages_per_second_max=100,
        throughput_bytes_per_second_max=512 * KIB,
        payload_bytes_max=128 * KIB,
    ),
}
