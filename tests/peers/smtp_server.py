"""A small SMTP server on loopback, made of aiosmtpd.

    python smtp_server.py {aiosmtpd|pyspnego} FOLDER

With `aiosmtpd`, that library's own PLAIN and LOGIN sign in; with `pyspnego`, NTLM does, and over
TLS it insists on the channel binding of its certificate (RFC 5929, tls-server-end-point).
FOLDER holds cert.pem and key.pem. The user of the environment's SMTP_USER and SMTP_PASSWORD may
sign in and send to anybody. Prints two ports, the one that begins in clear text and offers
STARTTLS, and the one that begins with TLS.
"""

import asyncio
import base64
import hashlib
import os
import pathlib
import ssl
import sys

import spnego
from aiosmtpd.smtp import MISSING, SMTP, AuthResult
from spnego.channel_bindings import GssChannelBindings

USER = os.environ["SMTP_USER"]
PASSWORD = os.environ["SMTP_PASSWORD"]


class Sink:
    """Takes every message."""

    async def handle_DATA(self, server, session, envelope):
        return "250 2.0.0 accepted"


class Ntlm(Sink):
    """NTLM (MS-SMTPNTLM), checked by pyspnego."""

    def __init__(self, certificate):
        digest = hashlib.sha256(ssl.PEM_cert_to_DER_cert(certificate)).digest()
        self.bindings = GssChannelBindings(application_data=b"tls-server-end-point:" + digest)

    async def auth_NTLM(self, server, args):
        encrypted = server.transport.get_extra_info("ssl_object") is not None
        acceptor = spnego.server(
            protocol="ntlm",
            options=spnego.NegotiateOptions.use_ntlm,
            channel_bindings=self.bindings if encrypted else None,
        )
        token = await self.negotiate_message(server, args)
        if token is MISSING:
            return AuthResult(success=False, handled=True)
        try:
            token = await server.challenge_auth(acceptor.step(token))
            if token is MISSING:
                return AuthResult(success=False, handled=True)
            acceptor.step(token)
        except (spnego.exceptions.SpnegoError, ValueError) as refused:
            print("refused:", refused, flush=True)
            return AuthResult(success=False, handled=False)
        return AuthResult(success=True)

    async def negotiate_message(self, server, args):
        if len(args) == 2:
            return base64.b64decode(args[1])
        # As Exchange asks, which is not base64.
        return await server.challenge_auth("NTLM supported", encode_to_b64=False)


def password_is_right(server, session, envelope, mechanism, data):
    right = (data.login, data.password) == (USER.encode(), PASSWORD.encode())
    return AuthResult(success=right, handled=False)


def options(kind, folder):
    common = {"hostname": "python.test", "enable_SMTPUTF8": True, "auth_require_tls": False}
    if kind == "aiosmtpd":
        return Sink(), common | {"authenticator": password_is_right}
    users = folder / "users"
    users.write_text("".join(f"{domain}:{USER}:{PASSWORD}\n" for domain in ("", "TESTDOM")))
    os.environ["NTLM_USER_FILE"] = str(users)
    handler = Ntlm((folder / "cert.pem").read_text())
    return handler, common | {"auth_exclude_mechanism": ["PLAIN", "LOGIN"]}


async def main(kind, folder):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    handler, settings = options(kind, folder)
    loop = asyncio.get_running_loop()

    def plain():
        return SMTP(handler, loop=loop, tls_context=context, **settings)

    def encrypted():
        return SMTP(handler, loop=loop, **settings)

    servers = [
        await loop.create_server(plain, "127.0.0.1", 0),
        await loop.create_server(encrypted, "127.0.0.1", 0, ssl=context),
    ]
    print("ports", *(server.sockets[0].getsockname()[1] for server in servers), flush=True)
    await asyncio.gather(*(server.serve_forever() for server in servers))


asyncio.run(main(sys.argv[1], pathlib.Path(sys.argv[2])))
