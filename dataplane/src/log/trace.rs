//! Trace context that a record carries from one process to the next: the `traceparent` of W3C Trace Context
//! (<https://www.w3.org/TR/trace-context/#traceparent-header>), version 00.

/// A `traceparent`: `00-`, trace ID, `-`, parent ID, `-`, flags; in lower-case hexadecimal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceParent([u8; Self::BYTES]);

impl TraceParent {
    /// Name of the header.
    pub const HEADER: &'static str = "traceparent";
    /// 2 + 1 + 32 + 1 + 16 + 1 + 2.
    const BYTES: usize = 55;

    /// `None` when it is no `traceparent`: a trace that is not understood is not gone on with.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let bytes: [u8; Self::BYTES] = bytes.try_into().ok()?;
        let dash = |at: usize| matches!(at, 2 | 35 | 52);
        let fits = |(at, byte): (usize, &u8)| match byte {
            b'-' => dash(at),
            b'0'..=b'9' | b'a'..=b'f' => !dash(at),
            _ => false,
        };
        let set = |id: &[u8]| id.iter().any(|byte| *byte != b'0');
        let valid =
            bytes.iter().enumerate().all(fits) && bytes.starts_with(b"00") && set(&bytes[3..35]) && set(&bytes[36..52]);
        valid.then_some(Self(bytes))
    }

    /// As it goes into a header.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_specification_s_example_is_taken_and_nothing_that_is_near_it() {
        let example = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert_eq!(TraceParent::parse(example).unwrap().as_bytes(), example);
        for bad in [
            &b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0"[..],
            b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-",
            b"00-4BF92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            b"00-4bf92f3577b34da6a3ce929d0e0e473-600f067aa0ba902b7-01",
            b"00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            b"00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            b"ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ] {
            assert_eq!(TraceParent::parse(bad), None);
        }
    }
}
