//! Names of devices, as plans and commands say them.

/// `webgpu`, `webgpu:1`, `npu:openvino`, `gpu:openvino:1`: the kind where a provider has several, the provider, and which one of
/// them from 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DeviceName<'a> {
    /// `cpu`, `gpu` or `npu`.
    pub(crate) kind: Option<&'a str>,
    /// `webgpu`.
    pub(crate) provider: &'a str,
    /// `None`: the first.
    pub(crate) index: Option<usize>,
}

/// What may stand before a provider's name.
const KINDS: [&str; 3] = ["cpu", "gpu", "npu"];

impl<'a> DeviceName<'a> {
    /// Reads a name.
    pub(crate) fn parse(name: &'a str) -> Self {
        let (kind, rest) = match name.split_once(':') {
            Some((kind, rest)) if KINDS.contains(&kind) => (Some(kind), rest),
            _ => (None, name),
        };
        let (provider, index) = match rest.rsplit_once(':').map(|(provider, index)| (provider, index.parse())) {
            Some((provider, Ok(index))) => (provider, Some(index)),
            _ => (rest, None),
        };
        Self { kind, provider, index }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kind_provider_and_index_are_told_apart() {
        let parse = |text| {
            let DeviceName { kind, provider, index } = DeviceName::parse(text);
            (kind, provider, index)
        };
        assert_eq!(parse("webgpu"), (None, "webgpu", None));
        assert_eq!(parse("webgpu:1"), (None, "webgpu", Some(1)));
        assert_eq!(parse("npu:qnn"), (Some("npu"), "qnn", None));
        assert_eq!(parse("gpu:openvino:2"), (Some("gpu"), "openvino", Some(2)));
        assert_eq!(parse("cpu"), (None, "cpu", None));
        assert_eq!(parse("webgpu:x"), (None, "webgpu:x", None), "no such provider, and it is named as it was written");
    }
}
