"""What keeps records from telling more than they must: pseudonyms of patients, and encryption of whole requests."""

from __future__ import annotations

import hmac
import json
import secrets
import zlib
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from hooks.settings import CommandError
from hooks.wire import decode, encode_received

_KEY_FILE = "pseudonym.key"
_LENGTH = 32  # hexadecimal digits: 128 bits
_READ_BY_OWNER = 0o600
_LEVEL = 1  # most of the gain at a third of the time


class SealError(CommandError):
    """A key that is none, or a request that no key opens."""


class Pseudonyms:
    """A patient's name in the records: the same for the same patient of the same client, of no use without the key."""

    def __init__(self, key: str) -> None:
        self._keyed = hmac.new(key.encode(), digestmod="sha256")

    def of(self, client: str, patient_id: str) -> str:
        """32 hexadecimal digits (HMAC-SHA-256 of client and patient id)."""
        keyed = self._keyed.copy()
        keyed.update(json.dumps([client, patient_id]).encode())
        return keyed.hexdigest()[:_LENGTH]


class Seal:
    """Encrypts what is kept for replay; the first key seals, every key opens, so that keys can be changed."""

    def __init__(self, keys: Sequence[str]) -> None:
        try:
            self._fernet = MultiFernet([Fernet(key) for key in keys])
        except ValueError:
            msg = "CDS_REQUEST_KEYS: expected keys of 32 bytes in URL-safe base64, as 'lenalidomide-cds key' makes them"
            raise SealError(msg) from None

    def closed(self, content: dict[str, Any]) -> str:
        """JSON, packed and encrypted, as text."""
        packed = zlib.compress(encode_received(content).encode(), _LEVEL)
        return self._fernet.encrypt(packed).decode()

    def opened(self, sealed: str) -> dict[str, Any]:
        """What was closed. ``SealError`` when no key fits, or it was changed."""
        try:
            packed = self._fernet.decrypt(sealed.encode())
        except InvalidToken:
            msg = "no key of CDS_REQUEST_KEYS opens this request"
            raise SealError(msg) from None
        opened: dict[str, Any] = decode(zlib.decompress(packed))
        return opened


def key_of_this_folder(folder: Path) -> str:
    """The pseudonym key where none is configured: made once, readable by its owner only."""
    file = folder / _KEY_FILE
    if not file.exists():
        made = folder / f"{_KEY_FILE}.{secrets.token_hex(4)}"
        made.touch(mode=_READ_BY_OWNER)
        made.write_text(secrets.token_hex(32), encoding="ascii")
        try:
            # Of several workers that start at once one wins, and all read what it wrote.
            with suppress(FileExistsError):
                file.hardlink_to(made)
        finally:
            made.unlink()
    return file.read_text(encoding="ascii")


def existing_key(folder: Path) -> str | None:
    """The pseudonym key that was made in a folder, None where none was."""
    file = folder / _KEY_FILE
    return file.read_text(encoding="ascii") if file.exists() else None


def new_key() -> str:
    """A key for ``CDS_REQUEST_KEYS``."""
    return Fernet.generate_key().decode()
