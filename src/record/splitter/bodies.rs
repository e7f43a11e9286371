use proptest::prelude::*;

/// Pieces of event streams, whole ones and broken ones.
const PIECES: [&[u8]; 34] = [
    b"data: x",
    b"data:",
    b"data",
    b"data: {\"a\":1}",
    b"data: \xc3\xa9",
    b"data: \xff",
    b"data: \xe2\x82",
    b"event: e",
    b"event",
    b"id: 7",
    b"id",
    b"id: \0",
    b"identity: 1",
    b"retry: 5",
    b":",
    b": comment",
    b"other: 1",
    b" data: x",
    b"\xef\xbb\xbf",
    b"d",
    b"i",
    b"\xff",
    b"\n",
    b"\r",
    b"\r\n",
    b"\n\n",
    b"\r\r",
    b"\r\n\r\n",
    b"\r\n\r",
    b"\n\r",
    b"\r\r\n",
    b"\n\r\n",
    b"data: x\n\n",
    b"data: a long line of some more bytes than the other ones have, for the limits and the cuts",
];

/// Bodies of all kinds.
pub(in crate::record) fn body() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        9 => prop::sample::select(&PIECES[..]).prop_map(<[u8]>::to_vec),
        1 => prop::collection::vec(any::<u8>(), 0..9),
    ];
    prop::collection::vec(piece, 0..30).prop_map(|pieces| pieces.concat())
}

/// Event streams.
pub(in crate::record) fn event_stream() -> impl Strategy<Value = Vec<u8>> {
    let starts: [&[u8]; 8] = [
        b"data: 1\n\n",
        b"data: 1\r\n",
        b"data: 1\r",
        b":",
        b"id: 1\n\n",
        b"\xef\xbb\xbfdata: 1\n\n",
        b"\n\n:\n\n",
        b"\xef\xbb\xbf\r\nretry: 1\n",
    ];
    (prop::sample::select(starts.to_vec()), body())
        .prop_map(|(start, rest)| [start, &rest].concat())
}
