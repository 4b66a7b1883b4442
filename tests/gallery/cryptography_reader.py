"""Opens envelopes by cryptography: a line of input names the file of a message, a line of output is what is inside in
base64, or a sentence behind `!`. The arguments are the files of a certificate and its key."""
import base64, sys
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import pkcs7


def octets(name):
    with open(name, "rb") as file:
        return file.read()


certificate = x509.load_pem_x509_certificate(octets(sys.argv[1]))
key = serialization.load_pem_private_key(octets(sys.argv[2]), None)
for name in sys.stdin:
    try:
        inside = pkcs7.pkcs7_decrypt_smime(octets(name.strip()), certificate, key, [])
        print(base64.b64encode(inside).decode())
    except Exception as error:
        print("!", str(error).replace("\n", " "))
    sys.stdout.flush()
