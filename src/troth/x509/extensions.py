"""The key uses of a profile as the extensions of a certificate. RFC 5280 sections 4.2.1.3 and 4.2.1.12."""

from typing import Final

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from troth.x509.profiles import ExtendedUse, KeyUse, Profile

EXTENDED_USES: Final = {
    ExtendedUse.CLIENT_AUTH: ExtendedKeyUsageOID.CLIENT_AUTH,
    ExtendedUse.SERVER_AUTH: ExtendedKeyUsageOID.SERVER_AUTH,
    ExtendedUse.OCSP_SIGNING: ExtendedKeyUsageOID.OCSP_SIGNING,
}


def key_usage(profile: Profile) -> x509.KeyUsage:
    """Return a profile's key usage as the extension."""
    uses = profile.key_usage
    return x509.KeyUsage(
        digital_signature=KeyUse.DIGITAL_SIGNATURE in uses,
        key_encipherment=KeyUse.KEY_ENCIPHERMENT in uses,
        key_agreement=KeyUse.KEY_AGREEMENT in uses,
        key_cert_sign=KeyUse.KEY_CERT_SIGN in uses,
        crl_sign=KeyUse.CRL_SIGN in uses,
        content_commitment=False,
        data_encipherment=False,
        encipher_only=False,
        decipher_only=False,
    )
