//! Trace context that a record carries from one process to the next: the `traceparent` of W3C Trace Context
//! (<https://www.w3.org/TR/trace-context/#traceparent-header>), version 00.

use std::fmt;

/// Who carries a trace on: the trace and its newest span.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceParent {
    /// Identifies the trace; not 0.
    pub trace: u128,
    /// Identifies the span; not 0.
    pub span: u64,
    /// Bit 0: the trace is recorded.
    pub flags: u8,
}

impl TraceParent {
    /// Name of the header.
    pub const HEADER: &'static str = "traceparent";
    /// 2 + 1 + 32 + 1 + 16 + 1 + 2.
    const BYTES: usize = 55;

    /// `None` when it is no `traceparent`: a trace that is not understood is not gone on with.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; Self::BYTES] = bytes.try_into().ok()?;
        let lower_case = bytes.iter().all(|byte| matches!(byte, b'-' | b'0'..=b'9' | b'a'..=b'f'));
        let text = std::str::from_utf8(bytes).ok().filter(|_| lower_case)?;
        let (trace, span) = (text.strip_prefix("00-")?.get(..32)?, text.get(36..52)?);
        if bytes[35] != b'-' || bytes[52] != b'-' {
            return None;
        }
        let trace = u128::from_str_radix(trace, 16).ok().filter(|&trace| trace != 0)?;
        let span = u64::from_str_radix(span, 16).ok().filter(|&span| span != 0)?;
        let flags = u8::from_str_radix(&text[53..], 16).ok()?;
        Some(Self { trace, span, flags })
    }
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-{:02x}", self.trace, self.span, self.flags)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_specification_s_example_is_taken_and_nothing_that_is_near_it() {
        let example = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert_eq!(TraceParent::parse(example.as_bytes()).unwrap().to_string(), example);
        for bad in [
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-",
            "00-4BF92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473-600f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ] {
            assert_eq!(TraceParent::parse(bad.as_bytes()), None);
        }
    }
}
