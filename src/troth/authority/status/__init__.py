"""What has become of certificates, told to those who rely on them: CRLs and OCSP, made from the registry."""
