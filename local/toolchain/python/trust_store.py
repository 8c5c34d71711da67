"""Writes the machine's certificate authorities as a trust store for Java: `trust_store.py PACKAGES_DIR STORE`.

Java from a wheel has its own list of authorities, without that of a company's proxy. Python finds it in SSL_CERT_FILE
or the system's list. If Python finds no authority either, this writes nothing, and Java uses its own list.
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
