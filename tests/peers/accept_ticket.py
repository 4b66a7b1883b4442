"""Accepts a GSS-API token as the service whose keys KRB5_KTNAME names.

    accept_ticket.py TOKEN-IN-HEXADECIMAL

Prints the name of the client and the token that answers it, in hexadecimal.
"""

import ctypes
import sys

gss = ctypes.CDLL("libgssapi_krb5.so.2")


class Buffer(ctypes.Structure):
    _fields_ = [("length", ctypes.c_size_t), ("value", ctypes.c_void_p)]

    def octets(self):
        return ctypes.string_at(self.value, self.length)


def check(major, what):
    if major & 0xFFFF0000:
        sys.exit(f"{what}: major status {major:#x}, minor {minor.value:#x}")


token = bytes.fromhex(sys.argv[1])
text = ctypes.create_string_buffer(token, len(token))
received = Buffer(len(token), ctypes.cast(text, ctypes.c_void_p))
answer, shown = Buffer(), Buffer()
minor = ctypes.c_uint32()
context, name = ctypes.c_void_p(), ctypes.c_void_p()
accepted = gss.gss_accept_sec_context(
    ctypes.byref(minor), ctypes.byref(context), None, ctypes.byref(received), None,
    ctypes.byref(name), None, ctypes.byref(answer), None, None, None,
)
check(accepted, "gss_accept_sec_context")
check(gss.gss_display_name(ctypes.byref(minor), name, ctypes.byref(shown), None), "gss_display_name")
print(shown.octets().decode(), answer.octets().hex())
