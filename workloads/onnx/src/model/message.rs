//! The messages of `onnx.proto` that are read, with the fields that are read and no others.
//!
//! Field numbers are those of the standard (IR version 11). What a message holds besides, weights above all, is skipped.

/// `ModelProto` without its graph and functions.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Head {
    #[prost(int64, tag = "1")]
    pub(crate) ir_version: i64,
    #[prost(string, tag = "2")]
    pub(crate) producer_name: String,
    #[prost(string, tag = "3")]
    pub(crate) producer_version: String,
    #[prost(message, repeated, tag = "8")]
    pub(crate) opset_import: Vec<Opset>,
}

/// `OperatorSetIdProto`.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Opset {
    #[prost(string, tag = "1")]
    pub(crate) domain: String,
    #[prost(int64, tag = "2")]
    pub(crate) version: i64,
}

/// `NodeProto` without its attributes.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Node {
    #[prost(string, repeated, tag = "1")]
    pub(crate) input: Vec<String>,
    #[prost(string, repeated, tag = "2")]
    pub(crate) output: Vec<String>,
    #[prost(string, tag = "4")]
    pub(crate) op_type: String,
    #[prost(string, tag = "7")]
    pub(crate) domain: String,
}

/// `NodeProto`: what tells it from others.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Named {
    #[prost(string, repeated, tag = "2")]
    pub(crate) output: Vec<String>,
    #[prost(string, tag = "3")]
    pub(crate) name: String,
    #[prost(message, repeated, tag = "9")]
    pub(crate) metadata: Vec<Entry>,
}

/// `AttributeProto`: its name and, if it has one, its integer.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Attribute {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    #[prost(int64, optional, tag = "3")]
    pub(crate) i: Option<i64>,
}

/// `TensorProto` without its elements.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Tensor {
    #[prost(int64, repeated, tag = "1")]
    pub(crate) dims: Vec<i64>,
    #[prost(int32, tag = "2")]
    pub(crate) data_type: i32,
    #[prost(string, tag = "8")]
    pub(crate) name: String,
    #[prost(message, repeated, tag = "13")]
    pub(crate) external_data: Vec<Entry>,
    /// 1: the elements are in a file of their own.
    #[prost(int32, tag = "14")]
    pub(crate) data_location: i32,
}

/// `StringStringEntryProto`.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Entry {
    #[prost(string, tag = "1")]
    pub(crate) key: String,
    #[prost(string, tag = "2")]
    pub(crate) value: String,
}

/// `ValueInfoProto`.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ValueInfo {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    #[prost(message, optional, tag = "2")]
    pub(crate) r#type: Option<Type>,
}

/// `TypeProto`: of a tensor, or of something else.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Type {
    #[prost(message, optional, tag = "1")]
    pub(crate) tensor_type: Option<TensorType>,
}

/// `TypeProto.Tensor`.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct TensorType {
    #[prost(int32, tag = "1")]
    pub(crate) elem_type: i32,
    #[prost(message, optional, tag = "2")]
    pub(crate) shape: Option<Shape>,
}

/// `TensorShapeProto`.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Shape {
    #[prost(message, repeated, tag = "1")]
    pub(crate) dim: Vec<Dimension>,
}

/// `TensorShapeProto.Dimension`.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Dimension {
    #[prost(int64, optional, tag = "1")]
    pub(crate) dim_value: Option<i64>,
    #[prost(string, optional, tag = "2")]
    pub(crate) dim_param: Option<String>,
}

/// One field of a `ModelProto` or `GraphProto`, to be appended to its other fields.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Part {
    #[prost(bytes = "vec", optional, tag = "7")]
    pub(crate) graph: Option<Vec<u8>>,
    #[prost(message, optional, tag = "11")]
    pub(crate) input: Option<ValueInfo>,
    #[prost(message, optional, tag = "12")]
    pub(crate) output: Option<ValueInfo>,
}

/// The field numbers by which a message is taken apart before its parts are decoded.
pub(crate) mod field {
    pub(crate) const MODEL_GRAPH: u32 = 7;
    pub(crate) const MODEL_FUNCTION: u32 = 25;
    pub(crate) const GRAPH_NODE: u32 = 1;
    pub(crate) const GRAPH_INITIALIZER: u32 = 5;
    pub(crate) const GRAPH_INPUT: u32 = 11;
    pub(crate) const GRAPH_OUTPUT: u32 = 12;
    pub(crate) const GRAPH_VALUE_INFO: u32 = 13;
    pub(crate) const GRAPH_SPARSE_INITIALIZER: u32 = 15;
    pub(crate) const FUNCTION_NODE: u32 = 7;
    pub(crate) const NODE_OUTPUT: u32 = 2;
    pub(crate) const NODE_NAME: u32 = 3;
    pub(crate) const NODE_ATTRIBUTE: u32 = 5;
    pub(crate) const NODE_METADATA: u32 = 9;
    pub(crate) const ATTRIBUTE_TENSOR: u32 = 5;
    pub(crate) const ATTRIBUTE_GRAPH: u32 = 6;
    pub(crate) const ATTRIBUTE_GRAPHS: u32 = 11;
    pub(crate) const SPARSE_VALUES: u32 = 1;
    pub(crate) const SPARSE_INDICES: u32 = 2;
    pub(crate) const TENSOR_RAW: u32 = 9;
    pub(crate) const VALUE_NAME: u32 = 1;
    pub(crate) const VALUE_TYPE: u32 = 2;
}
