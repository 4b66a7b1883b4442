"""What a reader that knows RFC 9788 shows of a message.

Arguments: the file of the message as it arrived, the file of its cryptographic payload (what is left when all
signatures are checked and all envelopes opened), and `clear` or `cipher` for what was done to it. Answers in JSON.
"""
import email, email.policy, html, json, re, sys

STRUCTURAL = re.compile(r"mime-version|content-.*", re.I)
ELEMENT = re.compile(r'<div class="header-protection-legacy-display">\s*<pre>(.*?)</pre>\s*</div>\s*', re.S)


def fields(message):
    return [(name, str(value)) for name, value in message.items() if not STRUCTURAL.fullmatch(name)]


def main_parts(part):
    """RFC 9787 section 7.1."""
    if part.get_content_type() == "multipart/alternative":
        return [leaf for inner in part.iter_parts() for leaf in main_parts(inner)]
    if part.is_multipart():
        return main_parts(next(part.iter_parts()))
    return [part] if part.get_content_maintype() == "text" else []


def shown(part):
    """Text without its Legacy Display Element, and that element (section 4.5.3)."""
    text = part.get_content().replace("\r\n", "\n")
    if part.get_param("hp-legacy-display") != "1":
        return {"text": text, "element": None}
    if part.get_content_subtype() == "plain":
        element, _, rest = text.partition("\n\n")
        return {"text": rest, "element": element}
    element = ELEMENT.search(text)
    return {"text": ELEMENT.sub("", text, count=1), "element": html.unescape(element[1])}


def defects(message):
    of_values = [d for _, value in message.items() for d in getattr(value, "defects", [])]
    return [repr(d) for d in list(message.defects) + of_values]


def parse(name):
    with open(name, "rb") as file:
        return email.message_from_bytes(file.read(), policy=email.policy.default)


outer, payload, done = parse(sys.argv[1]), parse(sys.argv[2]), sys.argv[3]
hp = payload.get_param("hp")
# Section 4.2: `cipher` inside of something that was not encrypted, or the other way round, is a lie.
assert hp in (None, done), (hp, done)
protected = [field for field in fields(payload) if field[0].lower() != "hp-outer"] if hp else fields(outer)
recorded = []
for value in payload.get_all("HP-Outer", []):
    name, _, value = str(value).partition(":")
    # Parsed as what it is, so that it can be compared.
    recorded.append((name, str(email.policy.default.header_factory(name, value.strip()))))
found = [field for field in fields(outer) if field[0].lower() not in ("received", "return-path", "delivered-to", "x-original-to")]
print(json.dumps({
    "hp": hp,
    "fields": dict(protected),
    "hidden": sorted(name for name, value in protected if hp == "cipher" and (name, value) not in recorded),
    "outer": dict(found),
    "outer_as_sent": hp != "cipher" or recorded == found,
    "texts": {part.get_content_subtype(): shown(part) for part in main_parts(payload)},
    "defects": defects(outer) + defects(payload),
}))
