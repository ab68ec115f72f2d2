"""Certificate profiles read from TOML, and checked: their parts must fit together (`builtin/` has Troth's own).

Knows neither database nor file: whoever calls brings the text. The clauses are RFC 5280 sections 4.2.1.3, 4.2.1.9 and
4.2.1.12, and RFC 6960 section 4.2.2.2.
"""

import re
import tomllib
from datetime import timedelta
from typing import Final

from troth.errors import Fault, Kind
from troth.limits import (
    OCSP_SIGNER_VALIDITY_S_MAX,
    PROFILE_BACKDATE_S_MAX,
    PROFILE_CHARS_MAX,
    PROFILE_GRACE_S_MAX,
    PROFILE_VALIDITY_S_MAX,
)
from troth.x509.algorithms import CURVES, RSA_BITS, KeyAlgorithm
from troth.x509.profiles import (
    CrlKind,
    ExtendedUse,
    IssuerRule,
    KeyUse,
    NameKind,
    Profile,
    Purpose,
    SubjectRule,
)
from troth.x509.serials import SHARDS_MAX
from troth.x509.subjects import Bound, parse_bound
from troth.x509.toml_table import TomlTable, require

_NAME: Final = re.compile(r"[a-z0-9-]{1,64}", re.ASCII)
_ANY_ISSUER: Final = "any"


def parse_profile(text: str) -> Profile:
    """Read a profile from TOML; the built-in ones show every key, with comments.

    Raises `Fault` (malformed, too large) that names the place: ``ca.path_length``. Unknown keys are refused.
    """
    if len(text) > PROFILE_CHARS_MAX:
        raise Fault(Kind.TOO_LARGE, f"the profile has more than {PROFILE_CHARS_MAX} characters")
    try:
        table = TomlTable(tomllib.loads(text))
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise Fault(Kind.MALFORMED, "the profile is not TOML", hint=str(error)) from error
    profile = _read(table)
    table.finish()
    _check(profile)
    if profile.ca is None:
        _check_leaf(profile)
    else:
        _check_ca(profile, profile.ca)
    return profile


def _read(table: TomlTable) -> Profile:
    san = table.table("san")
    validity = table.duration("validity")
    profile = Profile(
        name=table.text("name"),
        issuer=table.word_or("issuer", Purpose, _ANY_ISSUER),
        issuer_name=table.text("issuer_name") if "issuer_name" in table else None,
        subject=table.word("subject", SubjectRule),
        algorithms=table.words("algorithms", KeyAlgorithm),
        validity=validity,
        backdate=table.duration("backdate", "1h"),
        renew_before=table.duration("renew_before") if "renew_before" in table else _third(validity),
        grace=table.duration("grace") if "grace" in table else timedelta(0),
        key_usage=frozenset(table.words("key_usage", KeyUse)),
        extended_key_usage=table.words("extended_key_usage", ExtendedUse, ()),
        san_required=san.flag("required", default=False) if san else False,
        san_allowed=_read_allowed(san) if san else frozenset(),
        san_within=_read_within(san) if san else (),
        san_thing=san.flag("thing", default=False) if san else False,
        crl=table.word("crl", CrlKind, CrlKind.NONE),
        ocsp=table.flag("ocsp", default=False),
        ca=_read_ca(table),
    )
    if san:
        san.finish()
    return profile


def _third(span: timedelta) -> timedelta:
    third = span / 3
    return timedelta(days=third.days) if third.days else timedelta(seconds=third.seconds)


def _read_allowed(san: TomlTable) -> frozenset[NameKind]:
    if "thing" in san and "allowed" not in san:
        return frozenset()
    return frozenset(san.words("allowed", NameKind))


def _read_within(san: TomlTable) -> tuple[Bound, ...]:
    texts = san.texts("within", ())
    try:
        return tuple(parse_bound(text) for text in texts)
    except Fault as fault:
        raise Fault(fault.kind, f"profile: san.within: {fault.message}", hint=fault.hint) from fault


def _read_ca(table: TomlTable) -> IssuerRule | None:
    ca = table.table("ca")
    if ca is None:
        return None
    rule = IssuerRule(
        purpose=ca.word("purpose", Purpose),
        path_length=ca.number("path_length"),
        name_constraints=ca.flag("name_constraints", default=False),
        shards=ca.number("shards", 1),
        cross=ca.flag("cross", default=False),
    )
    ca.finish()
    return rule


def _check(profile: Profile) -> None:
    require(bool(_NAME.fullmatch(profile.name)), "name", "must be 1 to 64 of 'a-z', '0-9' and '-'")
    if profile.issuer_name is not None:
        require(bool(_NAME.fullmatch(profile.issuer_name)), "issuer_name", "must be 1 to 64 of 'a-z', '0-9' and '-'")
        require(profile.issuer is not None, "issuer_name", "names one, and 'issuer' says any")
    require(bool(profile.algorithms), "algorithms", "names no algorithm")
    require(
        profile.validity <= timedelta(seconds=PROFILE_VALIDITY_S_MAX),
        "validity",
        f"must be at most {PROFILE_VALIDITY_S_MAX // 86_400}d",
    )
    require(
        profile.backdate <= timedelta(seconds=PROFILE_BACKDATE_S_MAX),
        "backdate",
        f"must be at most {PROFILE_BACKDATE_S_MAX // 86_400}d",
    )
    require(profile.renew_before < profile.validity, "renew_before", "must be shorter than 'validity'")
    require(
        profile.grace <= timedelta(seconds=PROFILE_GRACE_S_MAX),
        "grace",
        f"must be at most {PROFILE_GRACE_S_MAX // 86_400}d",
    )
    require(
        profile.subject is SubjectRule.THING or not profile.grace,
        "grace",
        "is for certificates of things, which renew themselves: 'subject' must be 'thing'",
    )
    wraps = KeyUse.KEY_ENCIPHERMENT in profile.key_usage
    others = [algorithm for algorithm in profile.algorithms if algorithm not in RSA_BITS]
    require(
        not (wraps and others),
        "key_usage",
        f"key-encipherment is for RSA keys, not for {', '.join(others)} (RFC 8813, 9295, 9881)",
        "take it away: TLS 1.3 has no use for it",
    )
    agrees = KeyUse.KEY_AGREEMENT in profile.key_usage
    others = [algorithm for algorithm in profile.algorithms if algorithm not in CURVES]
    require(
        not (agrees and others),
        "key_usage",
        f"key-agreement is for keys on NIST curves, not for {', '.join(others)} (RFC 3279, 9295, 9881)",
        "take it away: TLS 1.3 has no use for it",
    )


def _check_leaf(profile: Profile) -> None:
    allowed = profile.san_allowed
    require(not profile.san_thing or not allowed, "san.thing", "is the one name there is: no 'allowed' beside it")
    require(
        not profile.san_thing or profile.subject is SubjectRule.THING, "san.thing", "is for things: 'subject' must be"
    )
    require(bool(allowed) or not profile.san_required, "san.allowed", "names no kind, and 'required' wants a name")
    require(bool(allowed) or not profile.san_within, "san.within", "bounds names of no allowed kind")
    require(
        KeyUse.KEY_CERT_SIGN not in profile.key_usage,
        "key_usage",
        "key-cert-sign needs a [ca] table (RFC 5280, 4.2.1.3)",
    )
    require(KeyUse.CRL_SIGN not in profile.key_usage, "key_usage", "crl-sign needs a [ca] table (RFC 5280, 4.2.1.3)")
    require(bool(profile.key_usage), "key_usage", "names no use")
    require(bool(profile.extended_key_usage), "extended_key_usage", "names no use")
    require(profile.subject is not SubjectRule.ISSUER, "subject", "'issuer' needs a [ca] table")
    require(profile.issuer is not Purpose.ROOT, "issuer", "a root certifies issuers only")
    if not profile.is_ocsp_signer:
        require(profile.issuer is not None, "issuer", "'any' is for OCSP signers; name one")
        return
    require(len(profile.extended_key_usage) == 1, "extended_key_usage", "ocsp-signing stands alone in a leaf")
    require(
        profile.crl is CrlKind.NONE and not profile.ocsp,
        "ocsp",
        "an OCSP signer says that its own status is not asked for (RFC 6960, 4.2.2.2.1): no 'crl', no 'ocsp'",
    )
    require(
        profile.validity <= timedelta(seconds=OCSP_SIGNER_VALIDITY_S_MAX),
        "validity",
        f"must be at most {OCSP_SIGNER_VALIDITY_S_MAX // 86_400}d for an OCSP signer, which is never revoked",
    )


def _check_ca(profile: Profile, ca: IssuerRule) -> None:
    require(KeyUse.KEY_CERT_SIGN in profile.key_usage, "key_usage", "a CA needs key-cert-sign (RFC 5280, 4.2.1.3)")
    require(profile.subject is SubjectRule.ISSUER, "subject", "must be 'issuer' beside a [ca] table")
    require(profile.issuer is Purpose.ROOT, "issuer", "must be 'root' beside a [ca] table")
    is_root = ca.purpose is Purpose.ROOT
    require(is_root or not ca.cross, "ca.cross", "only a root is certified by another")
    require(
        ca.path_length == (0 if not is_root else 1 if ca.cross else 2),
        "ca.path_length",
        "must be 2 for a root, 1 for one that is certified by another, and 0 for any other issuer",
    )
    require(1 <= ca.shards <= SHARDS_MAX, "ca.shards", f"must be 1 to {SHARDS_MAX}")
    signs_itself = is_root and not ca.cross
    require(not signs_itself or profile.crl is CrlKind.NONE, "crl", "nobody but itself could revoke a root: no 'crl'")
    require(not signs_itself or not profile.ocsp, "ocsp", "nobody but itself could revoke a root: no 'ocsp'")
    require(not is_root or ca.shards == 1, "ca.shards", "must be 1 for a root, which certifies a handful")
