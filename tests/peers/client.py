"""A mail client that is not ours: Python's. Prints a line for each reply: command, code, text."""

import argparse
import smtplib
import ssl
import sys


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("--tls", choices=["none", "starttls", "implicit"], default="none")
    parser.add_argument("--ca-file")
    parser.add_argument("--verify-name", default="localhost")
    parser.add_argument("--auth", choices=["PLAIN", "LOGIN"])
    parser.add_argument("--password")
    parser.add_argument("--to", action="append", default=[])
    parser.add_argument("--data", action="store_true", help="the message, from standard input")
    return parser.parse_args()


def say(command, reply):
    code, text = reply
    print(command, code, text.decode("utf-8", "replace").replace("\n", " "))
    return code


def connect(args):
    if args.tls == "none":
        return smtplib.SMTP("127.0.0.1", args.port, timeout=60)
    context = ssl.create_default_context(cafile=args.ca_file)
    if args.tls == "implicit":
        return smtplib.SMTP_SSL("localhost", args.port, timeout=60, context=context)
    client = smtplib.SMTP("127.0.0.1", args.port, timeout=60)
    # The name that starttls() checks is the one the client believes to be connected to.
    client._host = args.verify_name
    client.ehlo()
    say("STARTTLS", client.starttls(context=context))
    return client


def authenticate(client, mechanism, password):
    client.user, client.password = "alice", password
    answer = {"PLAIN": client.auth_plain, "LOGIN": client.auth_login}[mechanism]
    try:
        say("AUTH", client.auth(mechanism, answer))
    except smtplib.SMTPAuthenticationError as refused:
        say("AUTH", refused.args)


def submit(client, recipients, octets):
    say("MAIL", client.mail("sender@contoso.test"))
    accepted = 0
    for recipient in recipients:
        code = say("RCPT", client.rcpt(recipient))
        if code == 421:
            return
        accepted += code == 250
    if accepted and octets is not None:
        say("DATA", client.data(octets))


def main():
    args = arguments()
    client = connect(args)
    say("EHLO", client.ehlo())
    if args.auth:
        authenticate(client, args.auth, args.password)
    if args.to:
        submit(client, args.to, sys.stdin.buffer.read() if args.data else None)
    client.close()


main()
