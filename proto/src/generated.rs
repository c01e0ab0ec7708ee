//! Rust code generated from the `.proto` files, committed so that a build needs no Protobuf compiler; the test
//! `tests/generated.rs` generates it again and compares, so it stays as it was generated.
//!
//! Modules are nested as the packages are: generated code names messages of other packages by that way.

macro_rules! packages {
    ($($(#[$doc:meta])* $package:ident $version:ident $file:literal;)*) => {
        $($(#[$doc])* pub(crate) mod $package {
            #[allow(missing_docs, clippy::pedantic)]
            pub mod $version {
                include!($file);
            }
        })*
    };
}

packages! {
    /// `barrage.log.v1`: records of the log.
    log v1 "generated/barrage.log.v1.rs";
    /// `barrage.link.v1`: what the roles say to each other.
    link v1 "generated/barrage.link.v1.rs";
    /// `barrage.routes.v1`: the route table.
    routes v1 "generated/barrage.routes.v1.rs";
    /// `barrage.heat.v1`: what every process says of its work.
    heat v1 "generated/barrage.heat.v1.rs";
}

/// `barrage.v2`: payloads of wire protocol version 2.
#[allow(missing_docs, clippy::pedantic)]
pub mod v2 {
    include!("generated/barrage.v2.rs");
}
