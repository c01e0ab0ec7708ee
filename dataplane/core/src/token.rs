//! Tokens: who somebody is and what they may do in which room.
//!
//! A token is a JWT (RFC 7519) signed with HS256, ES256 or EdDSA; keys are a JWK set (RFC 7517). A process that only
//! verifies needs public keys; dev mode keeps one secret key and mints with it.

mod keys;
mod live;
mod signatures;

use jsonwebtoken::{Algorithm, Header};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thiserror::Error;

pub use keys::{KeyError, Keys};
pub use live::LiveKeys;
pub use signatures::install as install_signatures;

/// Every token is made for this audience.
pub const AUDIENCE: &str = "barrage";
/// The user ID of somebody without a token, who cannot send.
pub const ANONYMOUS: u64 = 0;

/// What somebody is in a room.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Watches, and sends if the token says so.
    #[default]
    Viewer,
    /// Keeps order.
    Moderator,
    /// Whose room it is.
    Host,
    /// A program of the platform.
    Service,
}

impl From<Role> for barrage_proto::v2::pb::Role {
    fn from(role: Role) -> Self {
        match role {
            Role::Viewer => Self::Viewer,
            Role::Moderator => Self::Moderator,
            Role::Host => Self::Host,
            Role::Service => Self::Service,
        }
    }
}

/// The rooms that a token opens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum RoomClaim {
    /// One, or all when it is `*`.
    One(String),
    /// Several.
    List(Vec<String>),
}

impl RoomClaim {
    fn opens(&self, room: &str) -> bool {
        let opens = |claim: &String| claim == "*" || claim == room;
        match self {
            Self::One(claim) => opens(claim),
            Self::List(claims) => claims.iter().any(opens),
        }
    }
}

/// The claims of a token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// User ID, decimal.
    pub sub: String,
    /// Rooms that it opens.
    pub room: RoomClaim,
    /// What the user is there.
    #[serde(default)]
    pub role: Role,
    /// Whether the user may send.
    #[serde(default = "yes")]
    pub send: bool,
    /// Unix time of the end, s.
    pub exp: u64,
    /// [`AUDIENCE`].
    pub aud: String,
}

const fn yes() -> bool {
    true
}

/// Who somebody is in one room, verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// User ID; [`ANONYMOUS`] without a token.
    pub user: u64,
    /// What the user is there.
    pub role: Role,
    /// Whether the user may send.
    pub send: bool,
}

impl Identity {
    /// Somebody without a token.
    pub const ANONYMOUS: Self = Self { user: ANONYMOUS, role: Role::Viewer, send: false };
}

/// Why a token does not open a room. The text goes to the client; it holds nothing of the token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum TokenError {
    /// None, where the room wants one.
    #[error("this room needs a token: Authorization: Bearer, ?token= or the subprotocol bearer.<token>")]
    Missing,
    /// Not a JWT, not signed by a known key, or not with HS256, ES256 or EdDSA.
    #[error("the token is not signed by a key that this server knows")]
    Invalid,
    /// Past its end.
    #[error("the token has expired; get a new one")]
    Expired,
    /// Made for somebody else than barrage.
    #[error("the token's aud is not \"barrage\"")]
    Audience,
    /// Claims missing or of the wrong shape.
    #[error("the token's claims are not those of a viewer: sub (a decimal user ID above 0), room, role, exp, aud")]
    Claims,
    /// For other rooms.
    #[error("the token is not for this room")]
    OtherRoom,
}

/// Verifies a token for a room.
///
/// # Errors
/// [`TokenError`].
pub fn verify(keys: &Keys, token: &str, room: &str) -> Result<Identity, TokenError> {
    let claims = keys.verify(token)?;
    let user = claims.sub.parse().ok().filter(|&user: &u64| user != ANONYMOUS).ok_or(TokenError::Claims)?;
    if !claims.room.opens(room) {
        return Err(TokenError::OtherRoom);
    }
    Ok(Identity { user, role: claims.role, send: claims.send })
}

/// Mints a token with the key set's secret key.
///
/// # Errors
/// [`KeyError::NoSecret`] when the set only verifies.
pub fn mint(keys: &Keys, claims: &Claims) -> Result<String, KeyError> {
    let (kid, key) = keys.signer().ok_or(KeyError::NoSecret)?;
    let header = Header { kid: Some(kid.to_owned()), ..Header::new(Algorithm::HS256) };
    jsonwebtoken::encode(&header, claims, key).map_err(KeyError::Sign)
}

#[cfg(test)]
mod tests;
