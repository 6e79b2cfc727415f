"""The encoders that ship: each gives back what it took, and refuses what it did not."""

from __future__ import annotations

import copy
import os
import pickle
import subprocess
import sys
import tracemalloc
import zlib
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stem_actor import (
    AesGcmEncoder,
    Base64PayloadEncoder,
    CompressionEncoder,
    EncoderNotRegistered,
    JsonPayloadEncoder,
    PayloadError,
    SettingsError,
    TaskMetadata,
    TaskPayloadEncoder,
    TaskPayloadEncoderRegistry,
    pipe_encoders,
)
from stem_actor.payload import aes_gcm
from stem_actor.payload.bounded import unpack_bounded
from stem_actor.payload.encoder import decode, encode_packed
from stem_actor.payload.wire import MAX_NODES, pack_value, unpack

OLD, NEW = os.urandom(32), os.urandom(32)
AES = AesGcmEncoder({"new": NEW, "old": OLD})
ENCODERS: dict[str, TaskPayloadEncoder] = {
    "json": JsonPayloadEncoder(),
    "base64": Base64PayloadEncoder(),
    "zlib": CompressionEncoder(threshold=16),
    "zlib, all": CompressionEncoder(threshold=0, level=9),
    "zstd": CompressionEncoder("zstd", threshold=16),
    "aes": AES,
    "aes, bound": AesGcmEncoder({"k": NEW}, associated_data=b"shop"),
    "zlib, aes": pipe_encoders(CompressionEncoder(threshold=16), AES),
    "aes, base64": pipe_encoders(AES, Base64PayloadEncoder()),
    "all": pipe_encoders(
        Base64PayloadEncoder(), CompressionEncoder("zstd"), AES, JsonPayloadEncoder()
    ),
}

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=["Cs"]))
    | st.binary()
)
KEYS = st.text(st.characters(exclude_categories=["Cs"])) | st.just("__b64payload")
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=20,
)


class Reverser(TaskPayloadEncoder):
    def encode(self, value: object) -> object:
        return str(value)[::-1]

    def decode(self, stored: object) -> object:
        return str(stored)[::-1]


@pytest.mark.parametrize("encoder", ENCODERS.values(), ids=ENCODERS)
@given(value=VALUES)
def test_what_was_encoded_and_crossed_the_wire_is_decoded_to_itself(
    encoder: TaskPayloadEncoder, value: object
) -> None:
    crossed = unpack(encode_packed(encoder, value, path="value"))

    assert decode(encoder, crossed, path="value") == value


@pytest.mark.parametrize("encoder", ENCODERS.values(), ids=ENCODERS)
def test_large_values_come_back(encoder: TaskPayloadEncoder) -> None:
    value = {"bytes": os.urandom(200_000), "text": "ab" * 50_000, "list": [1.5] * 9_000}

    assert decode(encoder, encoder.encode(value), path="value") == value


@pytest.mark.parametrize("name", ["zlib", "zstd", "aes", "aes, base64", "all"])
@given(stored=VALUES)
def test_what_no_encoder_has_made_is_refused_or_decoded_but_raises_nothing_else(
    name: str, stored: object
) -> None:
    with suppress(PayloadError):
        decode(ENCODERS[name], stored, path="value")


@given(value=VALUES, place=st.integers(0, 10_000), bit=st.integers(0, 7))
def test_a_ciphertext_with_one_bit_changed_is_refused(
    value: object, place: int, bit: int
) -> None:
    sealed = bytearray(AES.encode(value))
    sealed[place % len(sealed)] ^= 1 << bit

    with pytest.raises(PayloadError):
        AES.decode(bytes(sealed))


@given(value=VALUES, length=st.integers(0, 100))
def test_a_ciphertext_that_is_cut_is_refused(value: object, length: int) -> None:
    sealed = AES.encode(value)

    with pytest.raises(PayloadError):
        AES.decode(sealed[: min(length, len(sealed) - 1)])


def test_base64_makes_of_a_text_what_stem_makes_of_it() -> None:
    encoder = Base64PayloadEncoder()

    assert encoder.encode("hi") == "aGk="
    assert encoder.decode("aGk=") == "hi"
    assert encoder.decode({"to": "a@b.c"}) == {"to": "a@b.c"}
    assert encoder.id == "Base64PayloadEncoder"


@pytest.mark.parametrize("method", ["zlib", "zstd"])
def test_what_is_repetitive_becomes_smaller_and_what_is_not_never_larger(
    method: Any,
) -> None:
    encoder, noise = CompressionEncoder(method), os.urandom(5_000)

    assert len(encoder.encode(["ab"] * 5_000)) < 500
    assert len(encoder.encode(noise)) == len(pack_value(noise)) + 1


def test_either_method_reads_what_the_other_has_written() -> None:
    value = ["ab"] * 5_000
    zlib_, zstd = CompressionEncoder(), CompressionEncoder("zstd")

    assert zlib_.decode(zstd.encode(value)) == value
    assert zstd.decode(zlib_.encode(value)) == value


@pytest.mark.parametrize("method", ["zlib", "zstd"])
def test_a_bomb_is_refused_before_it_fills_the_memory(method: Any) -> None:
    bomb = CompressionEncoder(method).encode(bytes(32 << 20))
    careful = CompressionEncoder(method, max_decoded=1 << 20)

    tracemalloc.start()
    try:
        with pytest.raises(PayloadError, match="1,048,576 bytes decompressed"):
            careful.decode(bomb)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 8 << 20


def test_a_bomb_of_values_is_refused() -> None:
    many = b"\xdd" + (5_000_000).to_bytes(4) + b"\x90" * 5_000_000
    bomb = b"\x01" + zlib.compress(many)

    with pytest.raises(PayloadError, match="more than 100,000 values"):
        CompressionEncoder().decode(bomb)


@given(value=VALUES)
def test_few_values_pass_the_count_whatever_they_are(value: object) -> None:
    data = pack_value([bytes(MAX_NODES), value, {"k": 1.5}, value])

    assert unpack_bounded(data) == [bytes(MAX_NODES), value, {"k": 1.5}, value]


@pytest.mark.parametrize("form", [list, dict])
def test_one_value_too_many_is_refused_and_one_less_is_read(form: type) -> None:
    def packed(count: int) -> bytes:
        if form is list:
            return b"\xdd" + count.to_bytes(4) + b"\xcd\x00\x01" * count
        return b"\xdf" + (count // 2).to_bytes(4) + b"\xa1k\xc0" * (count // 2)

    assert unpack_bounded(packed(MAX_NODES - 2))
    with pytest.raises(PayloadError, match="100,000 values"):
        unpack_bounded(packed(MAX_NODES + 2))


def test_compressed_data_with_something_behind_it_or_too_little_is_refused() -> None:
    encoder = CompressionEncoder(threshold=0)
    whole = encoder.encode("a" * 1000)

    for broken in (whole + b"x", whole[:-1], b"\x09" + whole[1:], b""):
        with pytest.raises(PayloadError):
            encoder.decode(broken)


def test_a_new_key_encrypts_and_the_old_one_still_decrypts() -> None:
    before = AesGcmEncoder({"old": OLD}).encode("secret")
    now = AES.encode("secret")

    assert AES.decode(before) == "secret"
    assert b"new" in now
    with pytest.raises(PayloadError, match="needs the key 'new', and there are: old"):
        AesGcmEncoder({"old": OLD}).decode(now)


def test_another_key_or_other_associated_data_decrypt_nothing() -> None:
    sealed = AES.encode("secret")

    for other in (
        AesGcmEncoder({"new": OLD}),
        AesGcmEncoder({"new": NEW}, associated_data=b"staging"),
    ):
        with pytest.raises(PayloadError, match="was changed, or the key 'new'"):
            other.decode(sealed)


def test_equal_values_encrypt_to_different_bytes_that_hold_nothing_of_them() -> None:
    one, two = AES.encode("canary" * 10), AES.encode("canary" * 10)

    assert one != two
    assert b"canary" not in one


def test_a_key_is_derived_again_before_random_nonces_can_collide(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(aes_gcm, "_SESSION_MAX", 3)
    encoder = AesGcmEncoder({"k": NEW})

    salts = [encoder.encode(n)[3:19] for n in range(7)]

    assert [len(set(salts[a:b])) for a, b in ((0, 3), (3, 6))] == [1, 1]
    assert len(set(salts)) == 3


def test_nothing_that_is_printed_or_pickled_of_an_encoder_holds_a_key() -> None:
    encoder = AesGcmEncoder({"2026": b"K" * 32})
    piped = pipe_encoders(CompressionEncoder(), encoder)

    shown = f"{encoder!r} {encoder} {piped!r} {TaskMetadata(args_encoder=encoder)!r}"
    assert "KKKK" not in shown
    assert "2026" in shown
    for take in (pickle.dumps, copy.deepcopy):
        with pytest.raises(TypeError, match="not pickled"):
            take(encoder)  # type: ignore[operator]


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda: AesGcmEncoder({}), "at least one key"),
        (lambda: AesGcmEncoder({"k": b"short"}), "the key 'k' must be 32 bytes"),
        (lambda: AesGcmEncoder({"": NEW}), "text of 1 to 64 bytes"),
        (lambda: CompressionEncoder(level=10), r"must be in 0\.\.9, not 10"),
        (lambda: CompressionEncoder("lzma"), "no compression method 'lzma'"),
        (lambda: CompressionEncoder(threshold=-1), "threshold must be >= 0"),
        (lambda: pipe_encoders(AES), "at least two"),
        (lambda: pipe_encoders(AES, Reverser), "Reverser is a class"),
        (lambda: TaskPayloadEncoderRegistry(object()), "object has no encode"),
        (lambda: TaskPayloadEncoderRegistry(ids="loose"), "strict.* or .*lenient"),
    ],
)
def test_an_encoder_that_cannot_work_is_refused_when_it_is_made(
    make: Any, why: str
) -> None:
    with pytest.raises(SettingsError, match=why) as refused:
        make()

    assert "short" not in str(refused.value)


@pytest.mark.parametrize(
    ("package", "make", "extra"),
    [
        (
            "cryptography.hazmat.primitives.ciphers.aead",
            lambda: AesGcmEncoder({"k": NEW}),
            "crypto",
        ),
        ("zstandard", lambda: CompressionEncoder("zstd"), "zstd"),
    ],
)
def test_a_package_that_is_not_installed_is_named_with_its_extra(
    monkeypatch: pytest.MonkeyPatch, package: str, make: Any, extra: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)

    with pytest.raises(SettingsError, match=rf"pip install 'stem-actor\[{extra}\]'"):
        make()


def test_importing_stem_actor_imports_no_optional_package() -> None:
    look = (
        "import sys, stem_actor; print({'cryptography', 'zstandard'} & {*sys.modules})"
    )
    done = subprocess.run(
        [sys.executable, "-c", look], capture_output=True, text=True, check=True
    )

    assert done.stdout.strip() == "set()"


def test_an_encoder_without_an_id_has_the_name_of_its_class() -> None:
    class Twice(Reverser):
        pass

    class Named(Reverser):
        id = "named"

    class Child(Named):
        pass

    assert [it().id for it in (Reverser, Twice, Named, Child)] == [
        "Reverser",
        "Twice",
        "named",
        "named",
    ]


def test_an_id_is_resolved_and_an_unknown_one_refused_with_those_that_are_known() -> (
    None
):
    registry = TaskPayloadEncoderRegistry(AES, None, [Reverser()])

    assert registry.resolve_args("Reverser") == Reverser()
    assert registry.resolve_result("aes-gcm") is AES
    assert registry.resolve_args(None) is AES
    assert registry.resolve_result(None) == JsonPayloadEncoder()
    with pytest.raises(EncoderNotRegistered, match=r"'gone'.*aes-gcm, json") as refused:
        registry.resolve_args("gone")
    assert refused.value.encoder_id == "gone"


def test_a_lenient_registry_takes_the_default_for_an_unknown_id() -> None:
    registry = TaskPayloadEncoderRegistry(AES, Reverser(), ids="lenient")

    assert registry.resolve_args("gone") is AES
    assert registry.resolve_result("gone") == Reverser()


def test_two_encoders_share_an_id_only_if_they_are_equal() -> None:
    registry = TaskPayloadEncoderRegistry(AesGcmEncoder({"k": NEW}))

    registry.register(AesGcmEncoder({"k": NEW}))
    for other in (AesGcmEncoder({"k": OLD}), AesGcmEncoder({"k": NEW, "o": OLD})):
        with pytest.raises(SettingsError, match="that differ have the id 'aes-gcm'"):
            registry.register(other)


def test_nobody_takes_the_id_of_plain_values() -> None:
    class Json(Reverser):
        id = "json"

    with pytest.raises(SettingsError, match="that differ have the id 'json'"):
        TaskPayloadEncoderRegistry(Json())


def test_metadata_take_encoders_and_words_and_nothing_else() -> None:
    made = TaskMetadata(description="d", tags=("a", "b"), idempotent=True)

    assert (made.tags, made.idempotent, made.args_encoder) == (("a", "b"), True, None)
    with pytest.raises(TypeError, match="args_encoder: Reverser is a class"):
        TaskMetadata(args_encoder=Reverser)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="tags must be several"):
        TaskMetadata(tags="ab")  # type: ignore[arg-type]
