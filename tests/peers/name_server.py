"""A small name server on loopback, made of dnslib: UDP and TCP on one port.

    python name_server.py ZONE_FILE

Prints the port. What the zone does not hold does not exist; what ends in `.broken.test` fails.
"""

import pathlib
import sys
import threading

from dnslib import RCODE, RR
from dnslib.server import BaseResolver, DNSServer


class Zone(BaseResolver):
    def __init__(self, text):
        self.records = RR.fromZone(text)

    def resolve(self, request, handler):
        reply = request.reply()
        if str(request.q.qname).endswith(".broken.test."):
            reply.header.rcode = RCODE.SERVFAIL
            return reply
        of_name = [record for record in self.records if record.rname == request.q.qname]
        for record in of_name:
            if record.rtype == request.q.qtype:
                reply.add_answer(record)
        if not of_name:
            reply.header.rcode = RCODE.NXDOMAIN
        return reply


def servers(zone):
    """UDP takes a free port; where TCP cannot have the same one, another is taken."""
    while True:
        udp = DNSServer(zone, address="127.0.0.1", port=0)
        port = udp.server.server_address[1]
        try:
            return port, [udp, DNSServer(zone, address="127.0.0.1", port=port, tcp=True)]
        except OSError:
            udp.server.server_close()


port, started = servers(Zone(pathlib.Path(sys.argv[1]).read_text()))
for server in started:
    server.start_thread()
print("port", port, flush=True)
threading.Event().wait()
