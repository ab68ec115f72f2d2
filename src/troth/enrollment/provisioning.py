"""Fleet provisioning: who shows a claim certificate is given one of its own, and becomes a thing by a template.

Two steps, as on AWS: a certificate that waits, with a token that proves who may have it; then all that the template
says, in one change. Knows no MQTT. AWS IoT developer guide, "Provisioning by claim".
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from troth.authority.issue import PENDING, prepare
from troth.clock import Clock
from troth.enrollment.conclusions import Conclusions
from troth.enrollment.hook import Hooks
from troth.enrollment.outcomes import RETRY_AFTER_S, Outcomes
from troth.enrollment.ownerships import Owned, count_unclaimed, create_ownership, digest_of, find_owned, spend_ownership
from troth.enrollment.template_apply import apply_plan
from troth.enrollment.template_plan import plan
from troth.enrollment.template_resources import CERTIFICATE_ID, TemplateType
from troth.enrollment.templates import TemplateRow, allows_server_keys, find_template
from troth.errors import Fault, Kind
from troth.journal.change import change
from troth.keys.file import generate, render_key
from troth.keys.requests import build_request
from troth.limits import PROVISIONING_UNCLAIMED_MAX, Limits
from troth.names import Realm
from troth.protocols.provisioning import Created, Registered, Registration
from troth.registry.certificates import CertificateRow
from troth.store.connect import Database
from troth.store.read import read
from troth.x509.algorithms import KeyAlgorithm
from troth.x509.requests import Request, parse_request

METHOD: Final = "claim"
PROFILE: Final = "provisioned"
NAME: Final = "Provisioned device"
"""Whom such a certificate names: nobody yet."""


@dataclass(frozen=True, slots=True)
class Asker:
    """The connection that asks: its certificate, the client id that it was admitted with, and where it comes from."""

    certificate_id: str
    client_id: str
    address: str


class Provisioning:
    """Provisions the devices of one process, in its event loop.

    `ring` wakes the authority and never blocks; `wait_s` is how long a device is kept waiting for it. `conclusions`
    must be fed from the journal for as long as this is used.
    """

    def __init__(
        self,
        db: Database,
        clock: Clock,
        realm: Realm,
        limits: Limits,
        public_url: str,
        conclusions: Conclusions,
        ring: Callable[[], object],
        hooks: Hooks,
        wait_s: float,
    ) -> None:
        self._db = db
        self._clock = clock
        self._realm = realm
        self._limits = limits
        self._public_url = public_url
        self._ring = ring
        self._hooks = hooks
        self._outcomes = Outcomes(db, conclusions, wait_s, "provisioning")

    def close(self) -> None:
        """End the threads; what is under way in them is waited for."""
        self._outcomes.close()
        self._hooks.close()

    async def create(self, asker: Asker) -> Created:
        """Return a new key with its certificate, which waits for its thing. The key is not kept.

        Raises `Fault`: forbidden unless a template allows keys of the server's; rate limited, unavailable.
        """
        request, private_key = await self._outcomes.in_thread(self._make_key)
        return await self._create(asker, request, private_key)

    async def create_from_csr(self, asker: Asker, csr: bytes) -> Created:
        """Return a certificate for the key of a request, which waits for its thing.

        Raises `PeerFault` for a request that cannot be read; `Fault`: rejected, bad key, rate limited, unavailable.
        """
        return await self._create(asker, await self._outcomes.in_thread(parse_request, csr), None)

    async def register(self, asker: Asker, name: str, asked: Registration) -> Registered:
        """Make the certificate that a token stands for the one of a thing, as the template `name` says.

        The same request is answered again. Raises `Fault`: unauthenticated for a token that is not good; not found or
        forbidden for the template; forbidden where its hook does not agree; rejected, malformed, too large and conflict
        for what the parameters lead to.
        """
        looked = await self._outcomes.in_thread(self._look, name, asked)
        if isinstance(looked, Registered):
            return looked
        template, row = looked
        parameters = await self._agreed(asker, template, row, asked.parameters)
        return await self._outcomes.in_thread(self._register, asker, template, asked, parameters)

    # The first step.

    def _make_key(self) -> tuple[Request, str]:
        with read(self._db) as connection:
            if not allows_server_keys(connection):
                hint = "make the key on the device, and send a request; or troth template update NAME --server-keys"
                raise Fault(Kind.FORBIDDEN, "no template takes keys that the server has made", hint=hint)
        key = generate(KeyAlgorithm.P256)
        return parse_request(build_request(key, NAME)), render_key(key, None).decode()

    async def _create(self, asker: Asker, request: Request, private_key: str | None) -> Created:
        intent_id, token = await self._outcomes.in_thread(self._begin, asker, request, private_key is not None)
        self._ring()
        row = await self._outcomes.issued(intent_id)
        return Created(row.certificate_id, _pem(row), token, private_key)

    def _begin(self, asker: Asker, request: Request, server_key: bool) -> tuple[str, str]:
        with change(self._db, self._clock, _actor(asker)) as changing:
            if count_unclaimed(changing.connection, asker.certificate_id) >= PROVISIONING_UNCLAIMED_MAX:
                message = "too many certificates of this claim certificate wait for their things"
                raise Fault(Kind.RATE_LIMITED, message)
            intent = prepare(
                changing,
                profile=PROFILE,
                request=request,
                name=NAME,
                method=METHOD,
                proof={
                    PENDING: True,
                    "claim_id": asker.certificate_id,
                    "client_id": asker.client_id,
                    "address": asker.address,
                    "server_key": server_key,
                },
                public_url=self._public_url,
            )
            token = create_ownership(changing, intent.intent_id, asker.certificate_id, server_key=server_key)
        return intent.intent_id, token

    # The second step.

    def _look(self, name: str, asked: Registration) -> tuple[TemplateRow, CertificateRow] | Registered:
        with read(self._db) as connection:
            owned = find_owned(connection, asked.token, digest_of(name, asked.parameters), self._clock.now())
            template = find_template(connection, name)
        if not isinstance(owned, Owned):
            return Registered(**owned)
        if template is None or template.type is not TemplateType.FLEET_PROVISIONING:
            raise Fault(Kind.NOT_FOUND, f"there is no fleet template {name!r}")
        if not template.options.enabled:
            raise Fault(Kind.FORBIDDEN, f"template {name!r} is not enabled")
        if owned.ownership.server_key and not template.options.server_keys:
            raise Fault(Kind.FORBIDDEN, f"template {name!r} takes no keys that the server has made")
        return template, owned.row

    async def _agreed(
        self, asker: Asker, template: TemplateRow, row: CertificateRow, parameters: Mapping[str, str]
    ) -> Mapping[str, str]:
        """Return the parameters that count, once the hook has agreed; without a hook, the device's own."""
        hook = template.options.hook
        if hook is None:
            return parameters
        question = {
            "claimCertificateId": asker.certificate_id,
            "certificateId": row.certificate_id,
            "certificatePem": _pem(row),
            "templateArn": self._realm.arn("provisioningtemplate", template.name),
            "clientId": asker.client_id,
            "parameters": dict(parameters),
        }
        answered = await self._hooks.ask(hook, question)
        return {**parameters, **answered.overrides}

    def _register(
        self, asker: Asker, looked: TemplateRow, asked: Registration, parameters: Mapping[str, str]
    ) -> Registered:
        digest = digest_of(looked.name, asked.parameters)
        with change(self._db, self._clock, _actor(asker)) as changing:
            owned = find_owned(changing.connection, asked.token, digest, changing.at, lock=True)
            if not isinstance(owned, Owned):
                return Registered(**owned)
            if find_template(changing.connection, looked.name) != looked:
                raise Fault(Kind.CONFLICT, f"template {looked.name!r} has changed meanwhile", retry_after=RETRY_AFTER_S)
            certificate_id, options = owned.row.certificate_id, looked.options
            planned = plan(looked.template, parameters, {CERTIFICATE_ID: certificate_id})
            thing = apply_plan(
                changing, planned, certificate_id, profile=options.profile, again=options.again, limits=self._limits
            )
            registered = Registered(thing.name, planned.configuration)
            said = {"thing": thing.name, "template": looked.name, "version": looked.version}
            answer = {"thing": thing.name, "configuration": dict(planned.configuration)}
            spend_ownership(changing, owned, digest, answer, **said, asked_by=asker.certificate_id)
        return registered


def _actor(asker: Asker) -> str:
    return f"certificate:{asker.certificate_id}"


def _pem(row: CertificateRow) -> str:
    return x509.load_der_x509_certificate(row.der).public_bytes(Encoding.PEM).decode()
