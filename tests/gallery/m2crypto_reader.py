"""Checks signatures by M2Crypto: a line of input names the file of a message, a line of output is what it says in
base64, or a sentence behind `!`. The argument is the file of the authority."""
import base64, sys
from M2Crypto import BIO, SMIME, X509

store = X509.X509_Store()
store.load_info(sys.argv[1])
for name in sys.stdin:
    reader = SMIME.SMIME()
    reader.set_x509_store(store)
    try:
        signature, content = SMIME.smime_load_pkcs7(name.strip())
        reader.set_x509_stack(signature.get0_signers(X509.X509_Stack()))
        print(base64.b64encode(reader.verify(signature, content)).decode())
    except (SMIME.SMIME_Error, SMIME.PKCS7_Error, BIO.BIOError) as error:
        print("!", str(error).replace("\n", " "))
    sys.stdout.flush()
