"""Writes the machine's certificate authorities as a trust store that Java reads: `trust_store.py PACKAGES_DIR STORE`.

Java from a wheel brings its own list of authorities, so it knows nothing of the one that a company's proxy signs with;
Python does, by SSL_CERT_FILE or the system's list. Writes nothing when Python knows no authority either: Java then uses
its own list.
"""

import ssl
import sys
from pathlib import Path


def main(packages: str, store: str) -> None:
    """`packages` holds the cryptography package; `store` is the PKCS#12 file to write, its password "changeit"."""
    sys.path.insert(0, packages)
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, pkcs12

    authorities = ssl.create_default_context().get_ca_certs(binary_form=True)
    trusted = [
        pkcs12.PKCS12Certificate(x509.load_der_x509_certificate(der), f"authority-{number}".encode())
        for number, der in enumerate(authorities)
    ]
    if trusted:
        Path(store).write_bytes(pkcs12.serialize_java_truststore(trusted, BestAvailableEncryption(b"changeit")))


if __name__ == "__main__":
    main(*sys.argv[1:])
