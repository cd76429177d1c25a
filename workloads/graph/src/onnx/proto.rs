//! The part of protobuf's wire format that an ONNX file needs, and ONNX's messages on top of it.
//!
//! Contract: each function appends one message's fields to a byte buffer; field numbers are those of `onnx.proto`
//! (IR version 9). Integers are varints, floats are little-endian 32-bit, lists of integers are written one by one as
//! proto2 does. Nothing is ever read back here.

/// ONNX's `TensorProto.DataType`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ElementType {
    F32 = 1,
    U8 = 2,
    I64 = 7,
    F16 = 10,
}

/// A protobuf message under construction.
#[derive(Clone, Debug, Default)]
pub(super) struct Message(Vec<u8>);

impl Message {
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    /// A varint: seven bits a byte, the lowest first, the top bit set on all but the last.
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    /// An integer field. Negative numbers take ten bytes, as in two's complement.
    pub(super) fn int(&mut self, field: u32, value: i64) -> &mut Self {
        self.varint(u64::from(field) << 3);
        self.varint(value as u64);
        self
    }

    /// A 32-bit float field.
    pub(super) fn float(&mut self, field: u32, value: f32) -> &mut Self {
        self.varint(u64::from(field) << 3 | 5);
        self.0.extend(value.to_le_bytes());
        self
    }

    /// A field of bytes.
    pub(super) fn bytes(&mut self, field: u32, value: &[u8]) -> &mut Self {
        self.varint(u64::from(field) << 3 | 2);
        self.varint(value.len() as u64);
        self.0.extend(value);
        self
    }

    /// A field of text.
    pub(super) fn text(&mut self, field: u32, value: &str) -> &mut Self {
        self.bytes(field, value.as_bytes())
    }

    /// A field that is a message.
    pub(super) fn message(&mut self, field: u32, value: &Message) -> &mut Self {
        self.bytes(field, &value.0)
    }
}

/// The value of a node's attribute.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Attribute {
    Int(i64),
    Float(f32),
    Ints(Vec<i64>),
    Text(String),
}

/// Where a tensor's bytes are.
pub(super) enum Bytes<'a> {
    Inline(&'a [u8]),
    External { file: &'a str, offset: u64, length: u64 },
}

/// `StringStringEntryProto`.
pub(super) fn entry(key: &str, value: &str) -> Message {
    let mut m = Message::default();
    m.text(1, key).text(2, value);
    m
}

/// `OperatorSetIdProto`.
pub(super) fn opset(domain: &str, version: i64) -> Message {
    let mut m = Message::default();
    if !domain.is_empty() {
        m.text(1, domain);
    }
    m.int(2, version);
    m
}

/// `TensorProto`.
pub(super) fn tensor(name: &str, element: ElementType, shape: &[usize], bytes: &Bytes<'_>) -> Message {
    let mut m = Message::default();
    for &dim in shape {
        m.int(1, dim as i64);
    }
    m.int(2, element as i64).text(8, name);
    match bytes {
        Bytes::Inline(raw) => {
            m.bytes(9, raw);
        }
        Bytes::External { file, offset, length } => {
            m.message(13, &entry("location", file));
            m.message(13, &entry("offset", &offset.to_string()));
            m.message(13, &entry("length", &length.to_string()));
            m.int(14, 1); // data_location = EXTERNAL
        }
    }
    m
}

/// `ValueInfoProto` of a tensor.
pub(super) fn value_info(name: &str, element: ElementType, shape: &[usize]) -> Message {
    let mut dims = Message::default();
    for &dim in shape {
        let mut d = Message::default();
        d.int(1, dim as i64);
        dims.message(1, &d);
    }
    let mut tensor = Message::default();
    tensor.int(1, element as i64).message(2, &dims);
    let mut kind = Message::default();
    kind.message(1, &tensor);
    let mut m = Message::default();
    m.text(1, name).message(2, &kind);
    m
}

/// `AttributeProto`.
fn attribute(name: &str, value: &Attribute) -> Message {
    let mut m = Message::default();
    m.text(1, name);
    // Field 20 is the type: FLOAT 1, INT 2, STRING 3, INTS 7.
    match value {
        Attribute::Float(v) => m.float(2, *v).int(20, 1),
        Attribute::Int(v) => m.int(3, *v).int(20, 2),
        Attribute::Text(v) => m.text(4, v).int(20, 3),
        Attribute::Ints(v) => {
            for &v in v {
                m.int(8, v);
            }
            m.int(20, 7)
        }
    };
    m
}

/// `NodeProto`.
pub(super) fn node(
    name: &str,
    (domain, op): (&str, &str),
    inputs: &[String],
    outputs: &[String],
    attributes: &[(&str, Attribute)],
) -> Message {
    let mut m = Message::default();
    for input in inputs {
        m.text(1, input);
    }
    for output in outputs {
        m.text(2, output);
    }
    m.text(3, name).text(4, op);
    for (name, value) in attributes {
        m.message(5, &attribute(name, value));
    }
    if !domain.is_empty() {
        m.text(7, domain);
    }
    m
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn varints_are_protobufs() {
        let encode = |value| {
            let mut m = Message::default();
            m.varint(value);
            m.into_bytes()
        };
        assert_eq!(encode(0), [0]);
        assert_eq!(encode(127), [0x7f]);
        assert_eq!(encode(128), [0x80, 0x01]);
        assert_eq!(encode(300), [0xac, 0x02]); // the example of protobuf's own documentation
        assert_eq!(encode(-1i64 as u64), [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]);
    }

    #[test]
    fn a_node_is_these_bytes() {
        let attributes = [("axis", Attribute::Int(-1)), ("epsilon", Attribute::Float(1.0))];
        let m = node("n", ("", "Op"), &["x".to_owned(), String::new()], &["y".to_owned()], &attributes);
        let axis = b"\x0a\x04axis\x18\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\xa0\x01\x02";
        let epsilon = b"\x0a\x07epsilon\x15\x00\x00\x80\x3f\xa0\x01\x01";
        let mut wanted = b"\x0a\x01x\x0a\x00\x12\x01y\x1a\x01n\x22\x02Op".to_vec();
        for bytes in [axis.as_slice(), epsilon.as_slice()] {
            wanted.extend([0x2a, bytes.len() as u8]);
            wanted.extend(bytes);
        }
        assert_eq!(m.into_bytes(), wanted);
    }

    #[test]
    fn tensors_inside_and_outside_the_file_are_these_bytes() {
        let inline = tensor("w", ElementType::U8, &[3], &Bytes::Inline(&[7, 8, 9]));
        assert_eq!(inline.into_bytes(), b"\x08\x03\x10\x02\x42\x01w\x4a\x03\x07\x08\x09");
        let outside =
            tensor("w", ElementType::F32, &[2, 300], &Bytes::External { file: "d", offset: 4096, length: 2400 });
        let wanted = b"\x08\x02\x08\xac\x02\x10\x01\x42\x01w\
            \x6a\x0d\x0a\x08location\x12\x01d\x6a\x0e\x0a\x06offset\x12\x044096\x6a\x0e\x0a\x06length\x12\x042400\x70\x01";
        assert_eq!(outside.into_bytes(), wanted);
    }

    #[test]
    fn a_long_field_carries_its_length_as_a_varint() {
        let mut m = Message::default();
        m.bytes(9, &[0; 200]);
        assert_eq!(&m.into_bytes()[..3], [0x4a, 0xc8, 0x01]);
    }
}
