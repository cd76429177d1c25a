//! The fields of a protobuf message, one after another, without decoding or copying any.
//!
//! A model file is mostly weights, and a crafted one may be mostly traps. Walking its fields costs no memory, so what is
//! decoded can be chosen, and counted, before it is.

use prost::decode_length_delimiter;

/// One field: its number, what it holds if that is text, bytes or a message, and all of its bytes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Field<'a> {
    pub(crate) number: u32,
    pub(crate) payload: &'a [u8],
    pub(crate) whole: &'a [u8],
}

/// The bytes are no whole message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Broken;

/// The fields of a message; after [`Broken`] nothing more.
pub(crate) fn fields(message: &[u8]) -> impl Iterator<Item = Result<Field<'_>, Broken>> {
    let mut rest = message;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let field = next(rest);
        rest = match &field {
            Ok(field) => &rest[field.whole.len()..],
            Err(Broken) => &[],
        };
        Some(field)
    })
}

fn next(message: &[u8]) -> Result<Field<'_>, Broken> {
    let mut rest = message;
    let key = decode_length_delimiter(&mut rest).map_err(|_| Broken)?;
    let number = u32::try_from(key >> 3).map_err(|_| Broken)?;
    let mut payload: &[u8] = &[];
    let held = match key & 7 {
        0 => {
            // Ten bytes at most, the last one without its top bit.
            let end = rest.iter().take(10).position(|byte| byte & 0x80 == 0).ok_or(Broken)?;
            end + 1
        }
        1 => 8,
        2 => {
            let length = decode_length_delimiter(&mut rest).map_err(|_| Broken)?;
            payload = rest.get(..length).ok_or(Broken)?;
            length
        }
        5 => 4,
        _ => return Err(Broken),
    };
    let rest = rest.get(held..).ok_or(Broken)?;
    match number {
        0 => Err(Broken),
        _ => Ok(Field { number, payload, whole: &message[..message.len() - rest.len()] }),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_kind_of_field_is_walked_over() {
        // 1: varint 300; 2: bytes "ab"; 3: 64 bits; 4: 32 bits.
        let message = [8, 0xac, 2, 18, 2, b'a', b'b', 25, 1, 2, 3, 4, 5, 6, 7, 8, 37, 1, 2, 3, 4];
        let found: Vec<_> = fields(&message).map(Result::unwrap).collect();
        assert_eq!(found.iter().map(|field| field.number).collect::<Vec<_>>(), [1, 2, 3, 4]);
        assert_eq!(found[1].payload, b"ab");
        assert_eq!(found.iter().map(|field| field.whole.len()).collect::<Vec<_>>(), [3, 4, 9, 5]);
    }

    #[test]
    fn cut_and_impossible_fields_are_broken() {
        for message in [
            &[8][..],                                                       // a number without its value
            &[18, 5, b'a'],                                                 // more bytes than there are
            &[11],                                                          // a group, which ONNX has none of
            &[2, 0],                                                        // field number 0
            &[8, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1], // a number that never ends
            &[18, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1],          // a length of 2^64 - 1
        ] {
            assert_eq!(fields(message).last(), Some(Err(Broken)), "{message:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_end(message in proptest::collection::vec(any::<u8>(), 0..200)) {
            let walked: usize = fields(&message).filter_map(Result::ok).map(|field| field.whole.len()).sum();
            prop_assert!(walked <= message.len());
            let broken = fields(&message).filter(Result::is_err).count();
            prop_assert!(broken <= 1 && (broken == 1 || walked == message.len()));
        }
    }
}
