#!/usr/bin/python3
"""Opens and seals Tellal envelopes with stock libraries: `cryptography` and a CBOR decoder, nothing else.

Open an envelope with the recipient's message key. The signature is checked with the sender's device key,
given as such or in the sender's chain of directory records (a CBOR array of [body, signature]):

    open_envelope.py open --body FILE --wrap FILE --key message.pem [--sender device.pem | --chain FILE]

The same straight from a server's database, which holds body, wrap and chain:

    open_envelope.py open --database DATA/server.db --message ID --key message.pem

Seal a text for one message key; body and wrap are written to files:

    open_envelope.py seal --device-key device.pem --recipient-key message.pem --account HEX --to HEX
                          --body FILE --wrap FILE TEXT

Keys are PEM or DER: private ones PKCS#8, public ones SPKI. What is found is printed as one line of JSON.
Exit code 1: the envelope is not what it should be. The format: src/crypto/envelope/mod.rs.
"""

import argparse
import base64
import contextlib
import hashlib
import json
import os
import sqlite3
import struct
import sys
import time
import uuid

import cbor2
from cryptography.exceptions import InvalidSignature
from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding

TEXT, VOICE, VOID = 1, 2, 3
PSS = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=32)


class Refused(Exception):
    """The envelope is not what it should be."""


def tagged(tag, *parts):
    """Everything that is signed, hashed or used as a label begins with the tag of its purpose."""
    return tag + b"\0" + b"".join(parts)


def sha256(data):
    return hashlib.sha256(data).digest()


def oaep(header):
    """A wrap is bound to its header by the label."""
    label = tagged(b"tellal wrap v1", sha256(header))
    return padding.OAEP(mgf=padding.MGF1(hashes.SHA256()), algorithm=hashes.SHA256(), label=label)


def commitment(key):
    """Fernet does not commit to its key, so the header does."""
    return sha256(tagged(b"tellal commitment v1", key))


def signed_part(header, token):
    """What the device key signs. The SHA-256 of it is the envelope's hash."""
    return tagged(b"tellal envelope v1", sha256(header), sha256(token))


def split(body):
    """Header, signature and token of a body."""
    parts = []
    for _ in range(2):
        if len(body) < 2 or len(body) < 2 + struct.unpack(">H", body[:2])[0]:
            raise Refused("the body is cut off")
        length = struct.unpack(">H", body[:2])[0]
        parts.append(body[2 : 2 + length])
        body = body[2 + length :]
    return *parts, body


def decode(data):
    """Deterministic CBOR (RFC 8949, section 4.2): encoding it again gives the same bytes."""
    value = cbor2.loads(data)
    if cbor2.dumps(value, canonical=True) != data:
        raise Refused("CBOR that is not deterministic")
    return value


def size_class(length):
    """Plaintexts measure 128, 256, 512, ... bytes."""
    size = 128
    while size < length:
        size *= 2
    return size


def pad(kind, payload):
    plain = struct.pack(">BI", kind, len(payload)) + payload
    return plain.ljust(size_class(len(plain)), b"\0")


def unpad(plain):
    if len(plain) < 5:
        raise Refused("a plaintext too short")
    kind, length = struct.unpack(">BI", plain[:5])
    payload = plain[5 : 5 + length]
    if pad(kind, payload) != plain:
        raise Refused("a plaintext that is not padded to its size class")
    return kind, payload


def content(kind, payload):
    """What a plaintext says, for JSON."""
    if kind == TEXT:
        return {"kind": "text", "text": payload.decode("utf-8")}
    if kind == VOID and not payload:
        return {"kind": "void"}
    if kind != VOICE:
        raise Refused("content of an unknown kind")
    manifest = decode(payload)
    variant, fields = manifest[0]
    voice = {
        "kind": "voice",
        "name": manifest[1],
        "media_type": manifest[2],
        "size": manifest[3],
        "sha256": manifest[4].hex(),
        "duration_ms": manifest[5],
        "sample_rate": manifest[6],
    }
    if variant == 0:
        return voice | {"blob": fields[0].hex(), "chunks": fields[1]}
    if len(fields[0]) != manifest[3] or sha256(fields[0]) != manifest[4]:
        raise Refused("a voice note that is not what its manifest says")
    return voice | {"audio": base64.b64encode(fields[0]).decode()}


def open_body(body, wrap, key, sender):
    """The receiver's checks, in the receiver's order."""
    header_bytes, signature, token = split(body)
    header = decode(header_bytes)
    if header[0] != 1:
        raise Refused(f"an envelope of version {header[0]}")
    if sender is not None:
        if sha256(spki(sender)) != header[3]:
            raise Refused("the sender's key is not the one of the header's device")
        sender.verify(signature, signed_part(header_bytes, token), PSS, hashes.SHA256())
    secret = key.decrypt(wrap, oaep(header_bytes))
    if commitment(secret) != header[7]:
        raise Refused("the header commits to another key")
    # Tokens rest as raw bytes; the library wants base64.
    plain = Fernet(base64.urlsafe_b64encode(secret)).decrypt(base64.urlsafe_b64encode(token))
    return {
        "message": str(uuid.UUID(bytes=header[1])),
        "account": header[2].hex(),
        "device": header[3].hex(),
        "to": header[4][1][0].hex(),
        "counter": header.get(5),
        "previous": header[6].hex(),
        "sent_at": header[8],
        "hash": sha256(signed_part(header_bytes, token)).hex(),
        "verified": sender is not None,
    } | content(*unpad(plain))


def seal_body(args):
    """An envelope of a text, and the wrap for one message key."""
    device, recipient = private_key(args.device_key), public_key(args.recipient_key)
    secret = os.urandom(32)
    message = uuid.UUID(args.message) if args.message else uuid7()
    header = {
        0: 1,
        1: message.bytes,
        2: bytes.fromhex(args.account),
        3: sha256(spki(device.public_key())),
        4: [0, [bytes.fromhex(args.to)]],
        6: bytes.fromhex(args.previous),
        7: commitment(secret),
        8: args.sent_at if args.sent_at is not None else time.time_ns() // 1_000_000,
    }
    if args.counter is not None:
        header[5] = args.counter
    header = cbor2.dumps(header, canonical=True)
    text = args.text.encode("utf-8")
    if len(text) > 48 * 1024:
        raise Refused("a text over 48 KiB")
    token = base64.urlsafe_b64decode(Fernet(base64.urlsafe_b64encode(secret)).encrypt(pad(TEXT, text)))
    signature = device.sign(signed_part(header, token), PSS, hashes.SHA256())
    body = struct.pack(">H", len(header)) + header + struct.pack(">H", len(signature)) + signature + token
    write(args.body, body)
    write(args.wrap, recipient.encrypt(secret, oaep(header)))
    return {
        "message": str(message),
        "device": sha256(spki(device.public_key())).hex(),
        "key": sha256(spki(recipient)).hex(),
        "hash": sha256(signed_part(header, token)).hex(),
    }


def uuid7():
    """RFC 9562, section 5.7: milliseconds, then random bits."""
    value = (time.time_ns() // 1_000_000) << 80 | int.from_bytes(os.urandom(10), "big")
    return uuid.UUID(int=value & ~(0xF << 76) & ~(0x3 << 62) | 0x7 << 76 | 0x2 << 62)


def spki(key):
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def private_key(path):
    data = read(path)
    pem = data.startswith(b"-----")
    load = serialization.load_pem_private_key if pem else serialization.load_der_private_key
    return load(data, password=None)


def public_key(path):
    """A public key, or the public half of a private one."""
    data = read(path)
    if b"PRIVATE" in data[:40]:
        return private_key(path).public_key()
    pem = data.startswith(b"-----")
    load = serialization.load_pem_public_key if pem else serialization.load_der_public_key
    return load(data)


def read(path):
    with open(path, "rb") as file:
        return file.read()


def write(path, data):
    with open(path, "wb") as file:
        file.write(data)


def certified_device(chain, account, device):
    """The sender's device key, out of the account's signed registration."""
    body, signature = chain[0]
    record = decode(body)
    registration = record[5][1]
    identity = serialization.load_der_public_key(registration[1])
    if record[1] != account or sha256(registration[1]) != account or sha256(registration[2]) != device:
        raise Refused("the sender's account does not have the device")
    identity.verify(signature, tagged(b"tellal account record v1", body), PSS, hashes.SHA256())
    return serialization.load_der_public_key(registration[2])


def from_database(path, message, key):
    """Body, wrap for the key, and the sender's device key, as the server holds them."""
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        rows = database.execute(
            "SELECT body, wraps, sender, device FROM envelope JOIN mailbox ON mailbox.envelope = envelope.id"
            " WHERE message = ? AND body IS NOT NULL",
            [uuid.UUID(message).bytes],
        ).fetchall()
        for body, wraps, account, device in rows:
            for _, wrapped_for, wrap in cbor2.loads(wraps):
                if wrapped_for != sha256(spki(key.public_key())):
                    continue
                records = database.execute(
                    "SELECT record FROM account_record WHERE account = ? ORDER BY place", [account]
                )
                chain = [cbor2.loads(record) for (record,) in records]
                return body, wrap, certified_device(chain, account, device)
    raise Refused("the database has no such message for this key")


def open_command(args):
    if args.database:
        key = private_key(args.key)
        body, wrap, sender = from_database(args.database, args.message, key)
        return open_body(body, wrap, key, sender)
    body, wrap, key = read(args.body), read(args.wrap), private_key(args.key)
    sender = public_key(args.sender) if args.sender else None
    if args.chain:
        header = decode(split(body)[0])
        sender = certified_device(decode(read(args.chain)), header[2], header[3])
    return open_body(body, wrap, key, sender)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(required=True)

    opening = commands.add_parser("open", help="open an envelope")
    opening.set_defaults(run=open_command)
    opening.add_argument("--key", required=True, help="the recipient's private message key")
    opening.add_argument("--database", help="a server's database, instead of files")
    opening.add_argument("--message", help="the message id, with --database")
    opening.add_argument("--body", help="the envelope")
    opening.add_argument("--wrap", help="the wrap's ciphertext")
    sender = opening.add_mutually_exclusive_group()
    sender.add_argument("--sender", help="the sender's public device key")
    sender.add_argument("--chain", help="the sender's directory records")

    sealing = commands.add_parser("seal", help="seal a text")
    sealing.set_defaults(run=seal_body)
    sealing.add_argument("--device-key", required=True, help="the sender's private device key")
    sealing.add_argument("--recipient-key", required=True, help="the recipient's public message key")
    sealing.add_argument("--account", required=True, help="the sender's account id")
    sealing.add_argument("--to", required=True, help="the recipient's account id")
    sealing.add_argument("--message", help="a message id; made if not given")
    sealing.add_argument("--counter", type=int, help="place in the chain; none if not given")
    sealing.add_argument("--previous", default="00" * 32, help="hash of the envelope before")
    sealing.add_argument("--sent-at", type=int, help="milliseconds since 1970; now if not given")
    sealing.add_argument("--body", required=True, help="where the envelope is written")
    sealing.add_argument("--wrap", required=True, help="where the wrap is written")
    sealing.add_argument("text")

    args = parser.parse_args()
    if args.run is open_command and not (args.database and args.message or args.body and args.wrap):
        parser.error("open needs --database and --message, or --body and --wrap")
    try:
        print(json.dumps(args.run(args), ensure_ascii=False))
    except (Refused, InvalidSignature, InvalidToken, ValueError, LookupError, TypeError) as error:
        sys.exit(f"cannot be opened: {error or type(error).__name__}")
    except (OSError, sqlite3.Error) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
