"""What Python's parser makes of messages: their files are the arguments, an answer a line."""
import email, email.header, email.policy, email.utils, hashlib, json, sys


def nested(part):
    inner = part.get_payload() if part.get_content_maintype() == "multipart" else []
    kind = part.get_content_type()
    return f"{kind}({','.join(map(nested, inner))})" if inner else kind


def leaves(part):
    if part.get_content_maintype() != "multipart":
        return [part]
    return [leaf for inner in part.get_payload() for leaf in leaves(inner)]


def content(part):
    if part.get_content_maintype() == "message":
        return part.get_payload(0).as_bytes(policy=email.policy.compat32.clone(linesep="\r\n"))
    return part.get_payload(decode=True)


def attached(part):
    octets = content(part)
    return {
        "file_name": part.get_filename(),
        "media_type": part.get_content_type(),
        "disposition": part.get_content_disposition(),
        "content_id": part["Content-ID"],
        "description": part["Content-Description"],
        "length": len(octets),
        "sha256": hashlib.sha256(octets).hexdigest(),
    }


def decoded(text):
    return str(email.header.make_header(email.header.decode_header(text)))


def people(octets, name):
    # The newer policy leaves spaces between the encoded-words of a name (RFC 2047 section 6.2).
    headers = email.message_from_bytes(octets, policy=email.policy.compat32).get_all(name, [])
    return [[decoded(name), address] for name, address in email.utils.getaddresses(headers)]


def read(octets):
    message = email.message_from_bytes(octets, policy=email.policy.default)
    defects = [str(d) for p in message.walk() for d in list(p.defects) + [d for v in p.values() for d in v.defects]]
    body = {kind: message.get_body(preferencelist=(kind,)) for kind in ("plain", "html")}
    texts = {kind: part.get_content() if part else None for kind, part in body.items()}
    return {
        "defects": defects,
        "subject": message["Subject"],
        "from": people(octets, "From"),
        "to": people(octets, "To"),
        "reply_to": people(octets, "Reply-To"),
        "alert_name": message["X-Alert-Name"],
        "structure": nested(message),
        **texts,
        "attachments": [attached(p) for p in leaves(message) if p["Content-Disposition"]],
    }


for name in sys.argv[1:]:
    with open(name, "rb") as file:
        print(json.dumps(read(file.read())))
